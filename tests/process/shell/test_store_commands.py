"""`headgate store`, `admin` and `audit` on a store file, with a server on it or not."""

import json
import os
import resource
import shlex
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from headgate.audit import _line as audit_line
from headgate_engine import UNRESTRICTED, AuditRecord, Engine, Passwords, SqliteStore
from support.local_server import LocalServer
from support.open_files import is_locked, open_files
from support.programs_of_ours import run_headgate
from support.server_process import ServerProcess
from support.servers import CREATE_ROOT, ROOT
from support.waiting import poll_until

# Of InfluxDB 1.6.7.
META = bytes.fromhex("0800100118a4c2d0d78aa9a0b25d380040004800")
HEADGATE = [sys.executable, "-m", "headgate"]


def headgate(*arguments: str, entered: str = "", **environment: str) -> tuple[int, str, str]:
    """Exit status, output, errors."""
    variables = os.environ | {"HEADGATE_AUTH_BCRYPT_COST": "4"} | environment
    done = run_headgate(*arguments, stdin=entered, environment=variables)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(params=["running", "stopped"])
def server(
    request: pytest.FixtureRequest, serve_process: Callable[..., ServerProcess]
) -> ServerProcess:
    server = serve_process().bootstrap(
        "CREATE USER todd WITH PASSWORD 's3cret'; CREATE DATABASE db"
    )
    if request.param == "stopped":
        server.stop()
    return server


def start_again(server: ServerProcess) -> None:
    if not server.running():
        server.start()


def test_a_lost_password_is_replaced(server: ServerProcess) -> None:
    store = str(server.store)
    done = headgate("admin", "reset-password", "root", "--store", store, entered="n3w-pass\n")
    assert done == (0, f"{store}: SET PASSWORD FOR root = [REDACTED]\n", "")
    start_again(server)
    assert server.query("SHOW USERS").status == 401
    assert server.query("SHOW USERS", ("root", "n3w-pass")).status == 200


def test_no_password_at_all_is_no_new_password(server: ServerProcess) -> None:
    status, printed, errors = headgate(
        "admin", "reset-password", "root", "--store", str(server.store)
    )
    assert (status, printed) == (1, "")
    assert errors == "headgate: no password was given: nothing was changed\n"
    start_again(server)
    assert server.query("SHOW USERS").status == 200


def test_an_administrator_is_made(server: ServerProcess) -> None:
    store = str(server.store)
    done = headgate("admin", "grant-admin", "todd", "-store", store)
    assert done == (0, f"{store}: GRANT ALL PRIVILEGES TO todd\n", "")
    start_again(server)
    assert server.query("SHOW USERS", ("todd", "s3cret")).status == 200
    status, printed, _ = headgate("audit", "--store", store, "--json")
    last = json.loads(printed.splitlines()[-1])
    assert status == 0 and last["address"] == f"local, user id {os.getuid()}"
    assert last["statement"] == "GRANT ALL PRIVILEGES TO todd"


def test_a_backup_is_a_whole_store(
    server: ServerProcess, serve_process: Callable[..., ServerProcess]
) -> None:
    copy = server.store.with_name("copy.db")
    status, printed, _ = headgate("store", "backup", str(server.store), str(copy))
    assert (status, printed) == (0, f"{server.store}: copied to {copy}\n")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert [path.name for path in copy.parent.glob("copy.db*")] == ["copy.db"]
    status, printed, _ = headgate("store", "check", str(copy))
    assert (status, printed) == (0, f"{copy}: OK (2 users, 1 database, revision 3)\n")
    again = headgate("store", "backup", str(server.store), str(copy))
    assert again == (1, "", f"headgate: cannot copy to {copy}: it is there already\n")
    other = LocalServer(copy).start()
    try:
        assert other.query("SHOW DATABASES", ROOT).rows() == [["db"]]
    finally:
        other.stop()


def test_a_backup_is_put_back_in_place(serve_process: Callable[..., ServerProcess]) -> None:
    server = serve_process().bootstrap("CREATE DATABASE db")
    store, copy = str(server.store), str(server.store.with_name("copy.db"))
    assert headgate("store", "backup", store, copy)[0] == 0
    assert not server.query("DROP DATABASE db").error
    server.stop()
    status, printed, _ = headgate("store", "restore", copy, store)
    assert status == 0 and printed.startswith(
        f"{store}: restored from {copy}; the previous store is "
    )
    assert server.start().query("SHOW DATABASES").rows() == [["db"]]


def stored(folder: Path) -> set[Path]:
    """Returns the files in *folder* without those that SQLite creates and removes at any time."""
    return {path for path in folder.iterdir() if not path.name.endswith(("-wal", "-shm"))}


def refused_while_in_use(store: Path, backup: Path) -> bool:
    """Whether `headgate store restore` refuses; if so, nothing has changed."""
    before = stored(store.parent)
    status, printed, errors = headgate("store", "restore", str(backup), str(store))
    if status == 0:
        return False
    assert (status, printed, errors.count("\n")) == (1, "", 1)
    assert errors == (
        f"headgate: store {store} is in use: stop the server, and any other program that has it"
        " open, then try again\n"
    )
    assert stored(store.parent) == before
    return True


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_store_with_a_server_on_it_is_not_replaced(
    serve_process: Callable[..., ServerProcess], workers: str
) -> None:
    server = serve_process("--workers", workers).bootstrap("CREATE DATABASE db")
    copy = server.store.with_name("copy.db")
    assert headgate("store", "backup", str(server.store), str(copy))[0] == 0
    assert refused_while_in_use(server.store, copy)
    assert server.query("SHOW DATABASES").rows() == [["db"]]
    # The end of one process leaves the others, and its own mark goes with it.
    if workers == "2":
        lock = f"{server.store}.lock"
        poll_until(
            lambda: sum(lock in open_files(pid) for pid in server.workers()) == 2,
            "not both have it",
        )
        os.kill(min(server.workers()), signal.SIGKILL)
        assert refused_while_in_use(server.store, copy)
    server.kill()
    poll_until(lambda: not refused_while_in_use(server.store, copy), "it stays in use")
    assert server.start().query("SHOW DATABASES").rows() == [["db"]]


def test_a_store_that_another_command_has_open_is_not_replaced(
    serve_process: Callable[..., ServerProcess],
) -> None:
    server = serve_process().bootstrap()
    server.stop()
    copy = server.store.with_name("copy.db")
    assert headgate("store", "backup", str(server.store), str(copy))[0] == 0
    admin = subprocess.Popen(
        [*HEADGATE, "admin", "reset-password", "root", "--store", str(server.store)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        # It waits for the password, with the store open.
        poll_until(lambda: is_locked(Path(f"{server.store}.lock")), "not locked")
        assert refused_while_in_use(server.store, copy)
    finally:
        admin.kill()
        admin.communicate()
    assert not refused_while_in_use(server.store, copy)


CONFIGURED = """
[auth]
bcrypt-cost = 5
password-min-length = 8
"""


@pytest.mark.parametrize("setter", ["admin", "shell"])
@pytest.mark.parametrize(
    ("password", "environment", "expected"),
    [
        ("shorter", {}, "password must have at least 8 characters"),
        ("long-enough", {}, "$2b$05$"),
        ("long-enough", {"HEADGATE_AUTH_BCRYPT_COST": "6"}, "$2b$06$"),
        ("s", {"HEADGATE_AUTH_PASSWORD_MIN_LENGTH": "0"}, "$2b$05$"),
        ("s", {"HEADGATE_AUTH_BCRYPT_COST": "99"}, "HEADGATE_AUTH_BCRYPT_COST"),
    ],
)
def test_passwords_are_set_by_the_servers_rules(
    tmp_path: Path, setter: str, password: str, environment: dict[str, str], expected: str
) -> None:
    store, config = tmp_path / "users.db", tmp_path / "headgate.toml"
    with closing(SqliteStore(store)) as made:
        statement = "CREATE USER root WITH PASSWORD 'x' WITH ALL PRIVILEGES"
        Engine(made, Passwords(4)).query(statement, UNRESTRICTED)
    config.write_text(CONFIGURED + f'[store]\npath = "{store}"\n')
    commands = {
        "admin": ("admin", "reset-password", "root", "--config", str(config)),
        "shell": ("shell", "-store", str(store), "-config", str(config)),
    }
    entered = {"admin": f"{password}\n", "shell": f"SET PASSWORD FOR root = '{password}'"}
    clean = {k: v for k, v in os.environ.items() if k[:9] != "HEADGATE_"}
    done = run_headgate(*commands[setter], stdin=entered[setter], environment=clean | environment)
    with closing(SqliteStore(store)) as changed:
        user = changed.user("root")
        assert user is not None
    if expected.startswith("$"):
        assert done.returncode == 0 and user.hash.startswith(expected), done.stderr
    else:
        assert done.returncode == 1 and expected in done.stderr and user.hash[:7] == "$2b$04$"


def test_no_command_leaves_a_core_of_its_memory(
    serve_process: Callable[..., ServerProcess],
) -> None:
    server = serve_process().bootstrap()
    store = str(server.store)
    for command in (
        ("shell", "-store", store),
        ("admin", "reset-password", "root", "--store", store),
        ("token", "check", "-", "--store", store),
    ):
        environment = os.environ | {"HEADGATE_HTTP_SHARED_SECRET": "s" * 40}
        with subprocess.Popen(
            [*HEADGATE, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (4096, 4096)),
        ) as process:
            place = Path(f"/proc/{process.pid}")
            poll_until(partial(keeps_its_memory, place), f"{command} may leave a core")
            process.kill()


def keeps_its_memory(process: Path) -> bool:
    """Whether no core of *process* can be written, nor its memory read by its own user."""
    lines = (process / "limits").read_text().splitlines()
    limit = next(line for line in lines if line.startswith("Max core file size"))
    # Its files belong to root as soon as it cannot be dumped.
    return limit.split()[4:6] == ["0", "0"] and (process / "mem").stat().st_uid == 0


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("todd", "todd"),
        ("to dd", "to dd"),
        ("root  10.0.0.1  ok  DROP USER ann", '"root  10.0.0.1  ok  DROP USER ann"'),
        (" todd", '" todd"'),
        ("todd ", '"todd "'),
        (" ", '" "'),
        ('"todd"', '"\\"todd\\""'),
        ("-", '"-"'),
        ("a\x1b[31m", '"a\\u001b[31m"'),
        ("a\nb", '"a\\nb"'),
        ("a\u202eb", '"a\\u202eb"'),
        ("", "-"),
    ],
)
def test_a_line_of_the_audit_has_five_columns_whatever_the_names_are(name: str, shown: str) -> None:
    line = audit_line(
        AuditRecord(1, 1, "2026-01-01T00:00:00", name, "127.0.0.1", "SHOW USERS", "ok")
    )
    assert line == f"2026-01-01T00:00:00  {shown}  127.0.0.1  ok  SHOW USERS"


def test_one_may_go_on_with_a_store_that_went_back(
    serve_process: Callable[..., ServerProcess],
) -> None:
    server = serve_process().bootstrap("CREATE DATABASE db")
    server.kill()
    Path(f"{server.store}-wal").unlink()
    assert "but 2 was acknowledged" in headgate("store", "check", str(server.store))[2]
    done = headgate("store", "accept-rollback", str(server.store))
    assert done == (0, f"{server.store}: accepted at revision 0\n", "")
    assert headgate("store", "check", str(server.store))[0] == 0


def test_failed_logins_are_in_the_audit(serve_process: Callable[..., ServerProcess]) -> None:
    server = serve_process().bootstrap()
    for number in range(3):
        server.query("SHOW USERS", ("root", f"wrong-{number}"))
    server.stop()
    printed = headgate("audit", "--store", str(server.store), "--user", "root")[1]
    assert "  root  127.0.0.1  authorization failed (3 times)  -- login (password)\n" in printed


def test_the_audit_has_users_and_their_statements(
    serve_process: Callable[..., ServerProcess],
) -> None:
    server = serve_process().bootstrap(
        "CREATE USER boss WITH PASSWORD 'b0ss-pw' WITH ALL PRIVILEGES"
    )
    server.query('CREATE DATABASE "a\nb\x1b[31m"'.replace("\n", "\\n"), ("boss", "b0ss-pw"))
    server.query("CREATE DATABASE db", ("boss", "b0ss-pw"))
    status, printed, _ = headgate("audit", "--store", str(server.store), "--user", "boss")
    # What was refused is there a moment later.
    printed = "".join(line for line in printed.splitlines(True) if "  ok  " in line)
    assert status == 0 and printed.count("\n") == 1
    assert printed.endswith("+00:00  boss  127.0.0.1  ok  CREATE DATABASE db\n")
    status, printed, _ = headgate("audit", "--store", str(server.store), "--since", "1h")
    assert status == 0 and printed.count("  ok  ") == 3 and "[REDACTED]" in printed
    assert "b0ss-pw" not in printed
    status, printed, errors = headgate("audit", "--store", str(server.store), "--since", "1ns")
    assert (status, printed) == (0, "")
    assert errors == "no records\n"


@pytest.mark.parametrize(
    ("arguments", "status", "error"),
    [
        (("store", "check", "MISSING"), 1, "there is no store"),
        (("store", "backup", "MISSING", "x"), 1, "there is no store"),
        (("store", "restore", "MISSING", "STORE"), 1, "there is no store"),
        (("store", "restore", "NONSENSE", "STORE"), 1, "it is damaged, or no store at all"),
        (("store", "restore", "META", "NEW"), 1, "is InfluxDB 1.x's user database"),
        (("store", "restore", "STORE", "STORE"), 1, "is in use: stop the server"),
        (("store", "accept-rollback", "STORE"), 1, "is in use: stop the server"),
        (("store", "accept-rollback", "MISSING"), 1, "there is no store"),
        (("store", "backup", "STORE", "/no/such/folder/x"), 1, "No such file or directory"),
        (("audit", "--store", "STORE", "--since", "soon"), 1, "expected a duration such as 12h"),
        (("audit",), 1, "expected --store PATH or --server URL"),
        (("audit", "--store", "STORE", "--follow", "--summary"), 1, "expected one of them"),
        (("admin", "grant-admin", "nobody", "--store", "STORE"), 1, "user not found: nobody"),
        (("admin", "reset-password", "root", "--store", "STORE"), 1, "72 bytes"),
        (("admin", "reset-password", "root", "--store", "MISSING"), 1, "there is no store"),
        (("admin", "drop", "root"), 2, "unknown command"),
        (("store", "check", "NONSENSE"), 1, "it is damaged, or no store at all"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    serve_process: Callable[..., ServerProcess],
    tmp_path: Path,
    arguments: tuple[str, ...],
    status: int,
    error: str,
) -> None:
    server = serve_process().bootstrap()
    nonsense = tmp_path / "nonsense"
    nonsense.write_bytes(b"nonsense" * 1000)
    meta = tmp_path / "meta.db"
    meta.write_bytes(META)
    places = {
        "META": str(meta),
        "NEW": str(tmp_path / "new.db"),
        "STORE": str(server.store),
        "MISSING": str(tmp_path / "missing"),
        "NONSENSE": str(nonsense),
    }
    words = [places.get(word, word) for word in arguments]
    found, _, errors = headgate(*words, entered="x" * 73)
    assert (found, errors.count("\n")) == (status, 1) and error in errors, errors
    assert not (tmp_path / "missing").exists() and not list(tmp_path.glob("new.db*"))
    assert server.query("SHOW USERS").status == 200


def test_a_damaged_store_is_found_out(serve_process: Callable[..., ServerProcess]) -> None:
    server = serve_process().bootstrap("CREATE USER todd WITH PASSWORD 's3cret'")
    server.stop()
    damaged = sqlite3.connect(server.store)
    damaged.execute("PRAGMA writable_schema = ON")
    damaged.execute("UPDATE sqlite_schema SET rootpage = 2 WHERE name = 'users_active_admin'")
    damaged.commit()
    damaged.close()
    status, _, errors = headgate("store", "check", str(server.store))
    assert status == 1 and errors.startswith("headgate: ")


def test_a_command_with_closed_streams_ends_without_a_traceback(tmp_path: Path) -> None:
    path = tmp_path / "users.db"
    with closing(SqliteStore(path)) as store:
        Engine(store, Passwords(cost=4)).query(CREATE_ROOT, UNRESTRICTED)
    for arguments, closed in ((["audit"], ">&-"), (["admin", "reset-password", "root"], "<&-")):
        command = shlex.join([*HEADGATE, *arguments, "--store", str(path)])
        done = subprocess.run(
            ["sh", "-c", f"{command} {closed}"], capture_output=True, text=True, timeout=60
        )
        assert "Traceback" not in done.stderr, done.stderr
