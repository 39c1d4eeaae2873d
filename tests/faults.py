"""What a store can suffer, and what becomes of it: a table.

    python tests/faults.py      needs root (for a small disk), and Debian's faketime

Each fault befalls a store with twenty acknowledged users. Then a server tries to go on with it;
then the way out that the documentation names is taken, and the users are counted.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import apsw

from support.programs_of_ours import run_headgate
from support.server_process import ServerProcess

USERS = 20


@dataclass
class Outcome:
    """What a server on the store said: to a change, to a login, to being started (again)."""

    change: str = ""
    login: str = ""
    start: str = ""
    way_out: str = ""
    lost: int = -1  # acknowledged users that are not there after the way out


@dataclass
class Case:
    """A store on a disk of its own, its backup elsewhere, and a server that has made its users."""

    folder: Path
    server: ServerProcess

    @property
    def disk(self) -> Path:
        return self.store.parent

    @property
    def store(self) -> Path:
        return self.server.store

    @property
    def backup(self) -> Path:
        return self.folder / "backup.db"

    def tried(self) -> tuple[str, str]:
        """What a change and a login are answered now."""
        change = self.server.query("CREATE DATABASE more")
        login = self.server.query("SHOW DATABASES", ("u0", "x"))
        return change.error or "done", login.error or "let in"

    def started(self) -> str:
        """How a server starts on the store as it is now."""
        return self.server.attempt().replace(f"{self.store}", "STORE") or "starts"

    def restored(self) -> str:
        run_headgate("store", "restore", str(self.backup), str(self.store), check=True)
        return "store restore BACKUP STORE"

    def checked(self) -> int:
        """The exit status of `headgate store check`."""
        done = run_headgate("store", "check", str(self.store))
        assert "Traceback" not in done.stderr
        return done.returncode

    def lost(self) -> int:
        """How many of the users are not there."""
        if self.server.process is None or self.server.process.poll() is not None:
            self.server.start()
        there = {row[0] for row in self.server.query("SHOW USERS").rows()}
        return sum(f"u{number}" not in there for number in range(USERS))


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", str(folder)], check=True
    )
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def stopped(case: Case) -> None:
    assert case.server.stop() == 0


# ---- the faults


def disk_full(case: Case) -> Outcome:
    filler = case.disk / "filler"
    with suppress(OSError), open(filler, "wb", buffering=0) as file:
        while True:
            file.write(bytes(1024))
    change, login = "done", ""
    for number in range(100):  # until the log has no more room that it had before
        change = case.server.query(f"CREATE DATABASE more{number}").error or "done"
        if change != "done":
            break
    login = case.tried()[1]
    stopped(case)
    start = case.started()
    if start == "starts":
        stopped(case)
    filler.unlink()
    return Outcome(change, login, start, "make room", case.lost())


def read_only(case: Case) -> Outcome:
    stopped(case)
    subprocess.run(["mount", "-o", "remount,ro", str(case.disk)], check=True)
    start = case.started()
    subprocess.run(["mount", "-o", "remount,rw", str(case.disk)], check=True)
    return Outcome(start=start, way_out="make it writable", lost=case.lost())


def no_permission(case: Case) -> Outcome:
    stopped(case)
    # root, but without root's right to pass over permissions.
    case.server.prefix = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
    os.chown(case.store, 65534, 65534)
    start = case.started()
    os.chown(case.store, 0, 0)
    return Outcome(start=start, way_out="chown, chmod 0600", lost=case.lost())


def header(case: Case) -> Outcome:
    stopped(case)
    content = case.store.read_bytes()
    case.store.write_bytes(os.urandom(100) + content[100:])
    return Outcome(start=case.started(), way_out=case.restored(), lost=case.lost())


def page_of_users(case: Case) -> Outcome:
    return _page(case, "sqlite_autoindex_users_1")


def page_of_databases(case: Case) -> Outcome:
    return _page(case, "sqlite_autoindex_databases_1")


def _page(case: Case, root: str) -> Outcome:
    stopped(case)
    connection = apsw.Connection(str(case.store))
    number: int = connection.execute(
        "SELECT rootpage FROM sqlite_schema WHERE name = ?", (root,)
    ).get
    size: int = connection.pragma("page_size")
    connection.close()
    content = bytearray(case.store.read_bytes())
    content[(number - 1) * size : number * size] = os.urandom(size)
    case.store.write_bytes(bytes(content))
    outcome = Outcome(start=case.started())
    if outcome.start == "starts":
        outcome.change, outcome.login = case.tried()
        stopped(case)
    assert case.checked() == 1
    outcome.way_out, outcome.lost = case.restored(), case.lost()
    return outcome


def log_cut(case: Case) -> Outcome:
    case.server.kill()
    os.truncate(f"{case.store}-wal", os.path.getsize(f"{case.store}-wal") // 2)
    start = case.started()
    return Outcome(start=start, way_out=case.restored(), lost=case.lost())


def log_removed(case: Case) -> Outcome:
    case.server.kill()
    os.unlink(f"{case.store}-wal")
    return Outcome(start=case.started(), way_out=case.restored(), lost=case.lost())


def newer(case: Case) -> Outcome:
    stopped(case)
    connection = apsw.Connection(str(case.store))
    version: int = connection.pragma("user_version")
    connection.pragma("user_version", 99)
    start = case.started()
    connection.pragma("user_version", version)
    connection.close()
    return Outcome(start=start, way_out="the newer Headgate", lost=case.lost())


def emptied(case: Case) -> Outcome:
    stopped(case)
    case.store.write_bytes(b"")
    return Outcome(start=case.started(), way_out=case.restored(), lost=case.lost())


def gone(case: Case) -> Outcome:
    case.store.unlink()
    change, login = case.tried()
    case.server.kill()
    return Outcome(change, login, case.started(), case.restored(), case.lost())


def replaced(case: Case) -> Outcome:
    # Not by `restore`, which refuses while a server runs.
    other = case.folder / "other.db"
    shutil.copy(case.backup, other)
    os.rename(other, case.store)
    change, login = case.tried()
    assert case.server.stop() == 0
    way_out = case.restored()
    return Outcome(change, login, case.started(), f"{way_out}, then start anew", case.lost())


def two_servers(case: Case) -> Outcome:
    other = ServerProcess(case.folder / "other.db", ("--store", str(case.store))).start()
    try:
        assert not other.query("GRANT ALL PRIVILEGES TO u1").error
        assert not case.server.query("SHOW USERS", ("u1", "x")).error
        assert not case.server.query("DROP USER u1; CREATE USER u1 WITH PASSWORD 'y'").error
        assert other.query("SHOW DATABASES", ("u1", "x")).status == 401
        change, login = case.tried()
    finally:
        assert other.stop() == 0
    return Outcome(change, login, "starts", "none is needed", case.lost())


def clock_set_back(case: Case) -> Outcome:
    stopped(case)
    case.server.prefix = ("faketime", "-f", "-10d")
    start = case.started()
    change, login = case.tried()
    audit = run_headgate("audit", "--store", str(case.store), check=True)
    assert audit.stdout.splitlines()[-1].endswith("CREATE DATABASE more")  # by order, not by time
    return Outcome(change, login, start, "none is needed", case.lost())


SMALL_DISK = (disk_full, read_only)
FAULTS: dict[str, Callable[[Case], Outcome]] = {
    "disk full": disk_full,
    "read-only place": read_only,
    "file of another user": no_permission,
    "corrupt header": header,
    "corrupt page of users": page_of_users,
    "corrupt page of databases": page_of_databases,
    "write-ahead log cut": log_cut,
    "write-ahead log removed": log_removed,
    "file of a newer version": newer,
    "file emptied": emptied,
    "file removed": gone,
    "file replaced": replaced,
    "two servers on one file": two_servers,
    "clock ten days back": clock_set_back,
}


def suffer(name: str, folder: Path) -> Outcome:
    """What comes of that fault in the empty *folder*."""
    (folder / "disk").mkdir()
    if FAULTS[name] not in SMALL_DISK:
        return _suffer(FAULTS[name], folder)
    with small_disk(folder / "disk"):
        return _suffer(FAULTS[name], folder)


def _suffer(fault: Callable[[Case], Outcome], folder: Path) -> Outcome:
    server = ServerProcess(
        folder / "disk" / "users.db",
        environment={"HEADGATE_HTTP_LOG_ENABLED": "false"},
        beside=folder / "server",
        fresh=False,
    )
    case = Case(folder, server.start())
    try:
        server.bootstrap(*(f"CREATE USER u{n} WITH PASSWORD 'x'" for n in range(USERS)))
        run_headgate("store", "backup", str(server.store), str(case.backup), check=True)
        return fault(case)
    finally:
        if server.process is not None and server.process.poll() is None:
            server.kill()


def main() -> None:
    for name in FAULTS:
        with tempfile.TemporaryDirectory() as folder:
            outcome = suffer(name, Path(folder))
        print(f"{name}: {outcome.lost} of {USERS} lost; way out: {outcome.way_out}")
        for what in ("change", "login", "start"):
            if said := getattr(outcome, what):
                print(f"    {what:6}  {said}")


if __name__ == "__main__":
    main()
