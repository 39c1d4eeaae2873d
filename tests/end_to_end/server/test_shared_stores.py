"""Servers on one store in a real etcd or PostgreSQL: what each sees, and a store that is away."""

import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.etcd import ETCD, Etcd
from support.places import REPOSITORY
from support.postgres import Postgres
from support.programs_of_ours import run_headgate
from support.server_process import ServerProcess
from support.servers import CREATE_ROOT, ROOT, Answer
from support.waiting import free_port, poll_until

pytestmark = pytest.mark.skipif(
    ETCD is None and "CI" not in os.environ, reason="etcd-server is not installed"
)
TODD = ("todd", "s3cret-1")


@pytest.fixture(scope="module")
def own_etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    with Etcd(tmp_path_factory.mktemp("etcd")) as running:
        yield running


@pytest.fixture
def url(own_etcd: Etcd) -> str:
    return f"etcd://127.0.0.1:{own_etcd.ports[0]}/{secrets.token_hex(8)}"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Returns a function that starts a server on the store at a URL; ends the servers."""
    with ExitStack() as stack:

        def start(url: str, *flags: str, name: str = "one", **more: str) -> ServerProcess:
            (tmp_path / name).mkdir()
            environment = {"HEADGATE_STORE_MAX_STALENESS": "1s"} | more
            flags = ("--store", url, *flags)
            server = ServerProcess(tmp_path / name / "store", flags, environment, fresh=True)
            stack.callback(lambda: server.running() and server.stop())
            return server.start()

        yield start


def rows(answer: Answer) -> list[list[str]]:
    found: list[list[str]] = answer.json["results"][0]["series"][0].get("values", [])
    return found


def made(url: str) -> str:
    run_headgate("store", "init", url, check=True)
    return url


def test_two_servers_have_the_same_users(url: str, start: Callable[..., ServerProcess]) -> None:
    made(url)
    one, two = start(url, "--workers", "2"), start(url, name="two")
    one.query(CREATE_ROOT, None)
    poll_until(lambda: two.query("SHOW USERS").status == 200, "the first user is not seen")
    two.query("CREATE DATABASE d; CREATE USER todd WITH PASSWORD 's3cret-1'")
    poll_until(lambda: one.query("SHOW DATABASES", TODD).status == 200, "todd is not seen")
    for number in range(40):
        # Each request is a new connection, which any worker of this machine accepts.
        one.query(f"{'GRANT READ ON d TO' if number % 2 else 'REVOKE READ ON d FROM'} todd")
        expected = [["d", "READ"]] if number % 2 else [["d", "NO PRIVILEGES"]]
        for _ in range(3):
            rows = one.query("SHOW GRANTS FOR todd").json["results"][0]["series"][0]
            assert rows.get("values", []) in (expected, [] if number % 2 == 0 else expected)
    two.query("DROP USER todd")
    poll_until(lambda: one.query("SHOW DATABASES", TODD).status == 401, "todd is let in")
    assert one.query("DROP USER root").error == "cannot remove the last admin user"
    metrics = one.request("GET", "/metrics").body.decode()
    assert 'headgate_store_members{state="up"} 1.0' in metrics
    assert "headgate_store_proof_age_seconds " in metrics


def test_a_worker_that_was_killed_delays_no_change(
    url: str, start: Callable[..., ServerProcess]
) -> None:
    server = start(made(url), "--workers", "2")
    server.query(CREATE_ROOT, None)
    first = server.workers()
    os.kill(min(first), signal.SIGKILL)
    poll_until(lambda: len(server.workers() - first) == 1, "the worker is not replaced")
    for number in range(5):
        answer = server.query(f"CREATE DATABASE d{number}")
        assert (answer.status, answer.error) == (200, "")


def test_without_etcd_reads_end_at_the_bound_and_come_back(
    url: str, start: Callable[..., ServerProcess], own_etcd: Etcd
) -> None:
    server = start(made(url))
    server.query(CREATE_ROOT, None)
    assert server.query("SHOW USERS").status == 200
    own_etcd.freeze(0)
    try:
        assert server.query("SHOW USERS").status == 200  # proven a moment ago
        poll_until(lambda: server.query("SHOW USERS").status == 503, "reads go on")
        answer = server.query("CREATE DATABASE d")
        assert answer.status == 503 and "store unavailable" in answer.error
        health = server.request("GET", "/health")
        assert health.status == 503
        (check,) = [it for it in health.json["checks"] if it["name"] == "store"]
        assert check["status"] == "fail" and "0 of 1 members respond" in check["message"]
        assert server.request("GET", "/ping").status == 204
    finally:
        own_etcd.freeze(0, frozen=False)
    poll_until(lambda: server.query("CREATE DATABASE d").error == "", "it does not recover")
    assert server.request("GET", "/health").status == 200


def test_nginx_sends_reads_to_the_server_that_is_left(
    url: str, start: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None and "CI" not in os.environ:
        pytest.skip("nginx-light is not installed")
    made(url)
    servers = [start(url, name="one"), start(url, name="two")]
    servers[0].query(CREATE_ROOT, None)
    poll_until(lambda: servers[1].query("SHOW USERS").status == 200, "the user is not seen")
    proxy = ServerProcess(tmp_path / "nginx", port=free_port())
    text = (REPOSITORY / "examples" / "nginx" / "cluster.conf").read_text()
    for known, port in zip(
        ("8080", "8087", "8088"), (proxy.port, servers[0].port, servers[1].port), strict=True
    ):
        assert known in text
        text = text.replace(known, str(port))
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    own = "".join(f"{one}_temp_path {tmp_path}/{one};" for one in kinds)
    text = text.replace("http {", f"http {{ access_log off; {own}", 1)
    user = "user root;" if os.getuid() == 0 else ""  # the owner of the folder
    file = tmp_path / "nginx.conf"
    file.write_text(f"daemon off; {user} pid {tmp_path}/pid; error_log stderr;\n{text}")
    with open(tmp_path / "nginx.log", "wb") as log:
        process = subprocess.Popen(
            [nginx or "nginx", "-e", "stderr", "-c", str(file)], stdout=log, stderr=log
        )
    try:
        poll_until(proxy.responds, "nginx did not start")

        def is_answered_by(server: ServerProcess) -> bool:
            before = server.log().count("SHOW USERS")
            assert proxy.request("GET", "/query?q=SHOW+USERS", basic=ROOT).status == 200
            return server.log().count("SHOW USERS") > before

        # All requests of one address go to one server, and to the other while that one is away.
        first, second = servers if is_answered_by(servers[0]) else servers[::-1]
        for server in (first, second):
            assert server.process is not None
            os.killpg(server.process.pid, signal.SIGKILL)
            server.process.wait()
            for _ in range(20):
                assert not is_answered_by(server)
            server.start()
            poll_until(lambda: is_answered_by(first), "nginx does not find it again")
    finally:
        process.terminate()
        process.wait(20)


def test_a_start_without_a_store_makes_none(
    url: str, tmp_path: Path, start: Callable[..., ServerProcess]
) -> None:
    sentence = f"store {url}: there is none: make one with `headgate store init`"
    for words in (
        ("serve", "--store", url, "--bind", "127.0.0.1:0"),
        ("serve", "--check", "--store", url),
        ("user", "list", "--store", url),
        ("init", "--store", url, "--admin", "root", "--password-file", "-"),
        ("shell", "-store", url, "-execute", "SHOW USERS"),
    ):
        done = run_headgate(*words, stdin="Toor-123\n", folder=str(tmp_path))
        assert done.returncode == 1 and sentence in done.stderr, done
    done = run_headgate("store", "check", url)
    assert done.returncode == 1 and done.stderr == f"headgate: store {url}: there is no store\n"


def test_the_commands_work_on_a_store_at_a_url(url: str, tmp_path: Path) -> None:
    def run(*words: str, stdin: str = "", status: int = 0) -> subprocess.CompletedProcess[str]:
        done = run_headgate(*words, stdin=stdin, folder=str(tmp_path))
        assert done.returncode == status, done
        return done

    made(url)
    again = run("store", "init", url, status=1)
    assert again.stderr == f"headgate: {url}: there is a store already; nothing was changed\n"
    run("init", "--store", url, "--admin", "root", "--password-file", "-", stdin="Toor-123\n")
    run(
        "shell",
        "-store",
        url,
        "-execute",
        "CREATE DATABASE d; CREATE USER todd WITH PASSWORD 'x1234567'",
    )
    assert "todd" in run("user", "list", "--store", url).stdout
    assert "CREATE DATABASE d" in run("audit", "--store", url).stdout
    assert run("store", "check", url).stdout == (
        f"{url}: OK (2 users, 1 database, revision 3)\n{url}: 1 of 1 members respond\n"
    )
    assert run("store", "backup", url, "b.db").stdout == f"{url}: copied to b.db\n"
    assert run("store", "check", "b.db").stdout == "b.db: OK (2 users, 1 database, revision 3)\n"
    copied = run("store", "copy", "b.db", f"{url}-two").stdout
    assert copied == (
        f"{url}-two: copied 2 users, 1 database, 0 keys, 0 sessions and 3 audit records"
        " from b.db, revision 3\n"
    )
    run("store", "copy", "--without-audit", f"{url}-two", "c.db")
    assert len(run("audit", "--store", "c.db").stdout.splitlines()) == 1  # the newest record
    assert "d" in run("shell", "-store", "c.db", "-execute", "SHOW DATABASES").stdout
    over = run("store", "copy", "b.db", url, status=1).stderr
    assert over == f"headgate: store {url}: there is a store already: copy to an empty one\n"
    assert run("store", "accept-rollback", url).stdout == f"{url}: accepted at revision 4\n"
    assert "accept-rollback" in run("audit", "--store", url).stdout
    wrong = run("store", "restore", "b.db", url, status=1).stderr
    assert "restore a file, then `headgate store copy`" in wrong


def test_a_store_in_postgresql_is_served_and_moved_to(
    postgres: Postgres, url: str, tmp_path: Path, start: Callable[..., ServerProcess]
) -> None:
    database = postgres.url()
    done = run_headgate("store", "init", database)
    assert done.returncode == 1
    assert "has no synchronous standby" in done.stderr and "durability" in done.stderr
    single = {"HEADGATE_STORE_DURABILITY": "primary"}
    run_headgate("store", "init", made(url))
    run_headgate(
        "shell",
        "-store",
        url,
        "-execute",
        "CREATE USER root WITH PASSWORD 'Toor-1' WITH ALL PRIVILEGES",
    )
    run_headgate("store", "copy", url, database, environment=os.environ | single, check=True)
    one = start(database, "--workers", "2", **single)
    two = start(database, name="two", **single)
    one.query("CREATE DATABASE d; CREATE USER todd WITH PASSWORD 's3cret-1'")
    poll_until(lambda: two.query("SHOW DATABASES", TODD).status == 200, "todd is not seen")
    two.query("DROP USER todd")
    poll_until(lambda: one.query("SHOW DATABASES", TODD).status == 401, "todd is let in")
    health = one.request("GET", "/health").json
    assert "1 of 1 members respond" in health["checks"][0]["message"]
    environment = os.environ | single
    done = run_headgate("store", "check", database, environment=environment, check=True)
    assert "OK (1 user, 1 database, revision 4)" in done.stdout
    backup = str(tmp_path / "b.db")
    run_headgate("store", "backup", database, backup, environment=environment, check=True)
    assert "OK (1 user," in run_headgate("store", "check", backup, check=True).stdout


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("etcd://user:pw@host/p", "must not have a user or a password"),
        ("etcd://host", "has no prefix: add one, such as /headgate"),
        ("etcd://host:x/p", "'host:x' in a URL etcd:// is no address"),
        ("etcd:///p", "'' in a URL etcd:// is no address"),
        ("etcd://host/p?x=1", "must end with its prefix"),
        ("redis://host/p", "unknown kind of store redis://"),
        ("sqlite:users.db", "unknown kind of store sqlite: expected the path of a file"),
        ("postgresql://user:pw@host/db", "must not have a password"),
        ("postgresql://host/db?password=pw", "must not have a password"),
        ("postgresql://u:p/pw@host/db", "must not have a password"),
        ("postgresql://host/db?sslpassword=pw", "must not have a password"),
        ("postgresql://host", "must name a database"),
    ],
)
def test_a_bad_url_is_a_sentence(url: str, sentence: str) -> None:
    done = run_headgate("serve", "--check", "--store", url)
    assert done.returncode == 1 and sentence in done.stderr and "pw" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_server_that_was_frozen_gives_no_old_answer(
    url: str, start: Callable[..., ServerProcess]
) -> None:
    made(url)
    one, two = start(url), start(url, name="two")
    one.query(CREATE_ROOT, None)
    one.query("CREATE DATABASE d; CREATE USER todd WITH PASSWORD 's3cret-1'")
    one.query("GRANT READ ON d TO todd")
    poll_until(
        lambda: (answer := two.query("SHOW DATABASES", TODD)).status == 200 and bool(rows(answer)),
        "the grant is not seen",
    )
    assert two.process is not None
    for privilege in ("REVOKE READ ON d FROM", "GRANT READ ON d TO"):
        os.kill(two.process.pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            assert not one.query(f"{privilege} todd").error
            poll_until(lambda it=began: time.monotonic() - it > 3, "")  # type: ignore[misc]
        finally:
            os.kill(two.process.pid, signal.SIGCONT)
        answer = two.query("SHOW DATABASES", TODD)
        expected = [["d"]] if privilege.startswith("GRANT") else []
        assert answer.status == 503 or rows(answer) == expected, answer.body
        poll_until(lambda: two.query("SHOW USERS").status == 200, "it does not come back")
