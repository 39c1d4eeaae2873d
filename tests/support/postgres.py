"""Runs Debian's PostgreSQL: a primary, and a synchronous standby, on free ports of 127.0.0.1."""

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self

import trustme

from support.waiting import free_port, poll_until

_FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
POSTGRES = shutil.which("postgres", path=str(_FOLDERS[-1])) if _FOLDERS else None


class Postgres(AbstractContextManager["Postgres"]):
    """A PostgreSQL with trust for all of this machine. *standby*: with a synchronous standby."""

    def __init__(self, *, standby: bool = False) -> None:
        self._has_standby = standby
        self.folder = Path(tempfile.mkdtemp(prefix="headgate-postgres-"))
        # PostgreSQL refuses to run as root.
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        self.ports = [free_port(), free_port()]
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        try:
            self._run("initdb", "--auth=trust", "--no-sync", "--username=root", "-D", self._data(0))
            self.start(0)
            if self._has_standby:
                address = f"host=127.0.0.1 port={self.ports[0]} user=root"
                self._run(
                    *("pg_basebackup", "--no-sync", "--checkpoint=fast", "--write-recovery-conf"),
                    *("-d", f"{address} application_name=standby", "-D", self._data(1)),
                )
                self.start(1)
                self.execute(0, "ALTER SYSTEM SET synchronous_standby_names = 'standby'")
                self.execute(0, "SELECT pg_reload_conf()")
                poll_until(
                    lambda: "sync" in self.execute(0, "SELECT sync_state FROM pg_stat_replication"),
                    "the standby is not synchronous",
                )
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self, number: int) -> None:
        """Starts the primary (0) or the standby (1), also again."""
        assert POSTGRES is not None, "postgresql must be installed"
        command = [POSTGRES, "-D", self._data(number), "-p", str(self.ports[number])]
        command += [
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            f"unix_socket_directories={self.folder}",
        ]
        command += ["-c", "fsync=off", "-c", "max_connections=200", "-c", "wal_sender_timeout=2s"]
        with open(self.folder / f"{number}.log", "ab") as log:
            self._processes[number] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self._user,
                process_group=0,
                cwd=self.folder,
            )
        poll_until(lambda: self._responds(number), f"PostgreSQL {number} did not start", 60)

    def _responds(self, number: int) -> bool:
        process = self._processes[number]
        assert process.poll() is None, (self.folder / f"{number}.log").read_text()
        command = ["pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.ports[number])]
        return subprocess.run(self._program(command)).returncode == 0

    def url(self, options: str = "") -> str:
        """Returns the URL of the database, on whichever server is the primary."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports[: 1 + self._has_standby])
        return f"postgresql://root@{hosts}/postgres{options}"

    def execute(self, number: int, statement: str) -> str:
        """Returns the output of *statement*, by psql."""
        command = ["psql", "-h", "127.0.0.1", "-p", str(self.ports[number]), "-U", "root"]
        command += ["-d", "postgres", "-tAqc", statement]
        return subprocess.run(
            self._program(command), capture_output=True, text=True, check=True
        ).stdout

    def use_tls(self, authority: trustme.CA) -> None:
        """Lets the primary accept TLS, too, with a certificate of *authority* for 127.0.0.1."""
        issued = authority.issue_cert("127.0.0.1")
        paths = [self.folder / "tls.key", self.folder / "tls.pem"]
        issued.private_key_pem.write_to_path(str(paths[0]))
        issued.cert_chain_pems[0].write_to_path(str(paths[1]))
        paths[0].chmod(0o600)
        if self._user is not None:
            for path in paths:
                shutil.chown(path, self._user)
        for name, value in (("key", paths[0]), ("cert", paths[1])):
            self.execute(0, f"ALTER SYSTEM SET ssl_{name}_file = '{value}'")
        self.execute(0, "ALTER SYSTEM SET ssl = on")
        self.execute(0, "SELECT pg_reload_conf()")
        poll_until(lambda: "on" in self.execute(0, "SHOW ssl"), "no TLS")

    def promote(self) -> None:
        """Makes the standby the primary."""
        self._run("pg_ctl", "promote", "-w", "-D", self._data(1))

    def kill(self, number: int) -> None:
        """Ends the server *number* and its processes at once, as a power failure does."""
        process = self._processes.pop(number)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)
        for path in (self.folder / str(number)).glob("postmaster.pid"):
            path.unlink()

    def freeze(self, number: int, *, frozen: bool = True) -> None:
        """Stops all processes of the server *number*, or lets them go on."""
        pid = self._processes[number].pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for each in (pid, *map(int, children)):
            os.kill(each, signal.SIGSTOP if frozen else signal.SIGCONT)

    def _data(self, number: int) -> str:
        return str(self.folder / str(number))

    def _program(self, command: list[str]) -> list[str]:
        return [str(Path(POSTGRES or "").parent / command[0]), *command[1:]]

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            self._program(list(command)),
            capture_output=True,
            text=True,
            user=self._user,
            cwd=self.folder,
        )
        assert done.returncode == 0, done.stderr

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            os.killpg(process.pid, signal.SIGCONT)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)
        shutil.rmtree(self.folder, ignore_errors=True)
