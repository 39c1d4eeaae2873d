"""Runs Debian's etcd: one member or several, on free ports of 127.0.0.1."""

import shutil
import signal
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self

from headgate_engine import StoreUnavailable
from headgate_engine.stores.shared.etcd_client import EtcdAddress
from headgate_engine.stores.shared.etcd_log import EtcdLog
from headgate_engine.stores.shared.log import Unclear
from support.waiting import free_port, poll_until

ETCD = shutil.which("etcd")


class Etcd(AbstractContextManager["Etcd"]):
    """An etcd of *size* members, whose data is below *folder*. *flags* are added to each member."""

    def __init__(self, folder: Path, size: int = 1, *flags: str, tls: bool = False) -> None:
        self._folder, self._flags = folder, flags
        self._scheme = "https" if tls else "http"
        self.ports = [free_port() for _ in range(size)]
        self._peers = [free_port() for _ in range(size)]
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * size

    def __enter__(self) -> Self:
        try:
            for number in range(len(self.ports)):
                self.start(number)
            poll_until(self._responds, "etcd did not start", seconds=60)
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self, number: int) -> None:
        """Starts the member *number*, also again after `kill`."""
        assert ETCD is not None, "etcd-server must be installed"
        peer, url = self._peer(number), f"{self._scheme}://127.0.0.1:{self.ports[number]}"
        cluster = ",".join(f"m{it}={self._peer(it)}" for it in range(len(self.ports)))
        command = [
            *(ETCD, "--name", f"m{number}", "--data-dir", str(self._folder / f"m{number}")),
            *("--listen-client-urls", url, "--advertise-client-urls", url),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            *("--initial-cluster", cluster, "--unsafe-no-fsync", "--log-level", "error"),
            *self._flags,
        ]
        self._processes[number] = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _peer(self, number: int) -> str:
        return f"http://127.0.0.1:{self._peers[number]}"

    def _responds(self) -> bool:
        log = EtcdLog(self.address(), "/starting/")
        try:
            return log.position() == 0
        except (StoreUnavailable, Unclear):
            return self._scheme == "https"  # a test with certificates polls by itself
        finally:
            log.close()

    def address(self) -> EtcdAddress:
        """Returns the address of all members."""
        return EtcdAddress(tuple(f"127.0.0.1:{port}" for port in self.ports))

    def kill(self, number: int) -> None:
        """Ends the member *number* at once, as a power failure does."""
        process = self._processes[number]
        assert process is not None
        process.kill()
        process.wait(20)
        self._processes[number] = None

    def freeze(self, number: int, *, frozen: bool = True) -> None:
        """Stops the member *number*, which keeps its connections; or lets it go on."""
        process = self._processes[number]
        assert process is not None
        process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            if process is not None:
                process.kill()
                process.wait(20)
