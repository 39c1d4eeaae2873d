"""Runs `headgate COMMAND` in a process forked from one that has already imported the program.

A new interpreter needs up to a second of CPU time to import the server, a fork a hundredth of that.
The fork runs the same `main` with its own arguments, environment, streams and signals. Tests of the
program's start run HEADGATE with subprocess instead.
"""

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

HEADGATE = [sys.executable, "-m", "headgate"]
_SUPPORT = Path(__file__).parent


class ForkedProcess:
    """A process that the fork server started, with methods of subprocess.Popen."""

    def __init__(self, pid: int, status: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._status = status

    def poll(self) -> int | None:
        return self._read(0)

    def wait(self, timeout: float | None = None) -> int:
        """Returns the exit status. Raises subprocess.TimeoutExpired."""
        status = self._read(timeout)
        if status is None:
            raise subprocess.TimeoutExpired("headgate", timeout or 0)
        return status

    def _read(self, timeout: float | None) -> int | None:
        """Returns the exit status, or None if the process still runs after *timeout* seconds."""
        if self.returncode is None and select.select([self._status], [], [], timeout)[0]:
            answer = self._status.recv(64)
            assert answer, "the fork server has ended"
            self.returncode = int(answer)
            self._status.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):  # the process has just ended
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class _ForkServer:
    """The process that runs `fork_server.py`; each process of the tests has its own."""

    def __init__(self) -> None:
        ours, its = socket.socketpair()
        self._line = ours
        self._process = subprocess.Popen(
            [sys.executable, str(_SUPPORT / "fork_server.py"), str(its.fileno())],
            pass_fds=[its.fileno()],
            stdin=subprocess.DEVNULL,
        )
        its.close()
        atexit.register(self._end)

    def _end(self) -> None:
        self._line.close()
        self._process.wait(20)

    def running(self) -> bool:
        return self._process.poll() is None

    def fork(self, request: dict[str, Any], streams: Sequence[int]) -> ForkedProcess:
        """Sends *request* to the fork server; returns the process that it forks."""
        # Packets: the process ID and the exit status of a short command must not become one text.
        ours, its = socket.socketpair(type=socket.SOCK_SEQPACKET)
        with its:
            content = json.dumps(request).encode("utf-8", "surrogateescape")
            socket.send_fds(self._line, [b"%16d" % len(content)], [*streams, its.fileno()])
        self._line.sendall(content)
        pid = ours.recv(64)
        assert pid, "the fork server has ended"
        return ForkedProcess(int(pid), ours)


_fork_servers: list[_ForkServer] = []
_lock = threading.Lock()


def start_headgate(
    arguments: Sequence[str],
    *,
    stdin: int,
    stdout: int,
    stderr: int,
    environment: Mapping[str, str] | None = None,
    own_group: bool = False,
    folder: str | None = None,
) -> ForkedProcess:
    """Starts `headgate ARGUMENTS` with three file descriptors as its standard streams.

    *environment* replaces the whole environment; the default is os.environ. With *own_group*, the
    process leads a new process group. *folder* is its working directory.
    """
    request = {
        "arguments": list(arguments),
        "environment": dict(os.environ if environment is None else environment),
        "own_group": own_group,
        "folder": folder or os.getcwd(),
    }
    with _lock:
        if not _fork_servers or not _fork_servers[-1].running():
            _fork_servers.append(_ForkServer())
        return _fork_servers[-1].fork(request, (stdin, stdout, stderr))


def run_headgate(
    *arguments: str,
    stdin: str = "",
    environment: Mapping[str, str] | None = None,
    folder: str | None = None,
    timeout: float = 60,
    check: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Runs `headgate ARGUMENTS` and returns its exit status and output, like subprocess.run.

    With *check*, asserts that the exit status is 0.
    """
    # Files instead of pipes, because a full pipe would block the process.
    with (
        tempfile.TemporaryFile() as source,
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as errors,
    ):
        source.write(stdin.encode("utf-8", "surrogateescape"))
        source.seek(0)
        process = start_headgate(
            arguments,
            stdin=source.fileno(),
            stdout=output.fileno(),
            stderr=errors.fileno(),
            environment=environment,
            folder=folder,
        )
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        written = []
        for file in (output, errors):
            file.seek(0)
            written.append(file.read().decode("utf-8"))
    done = subprocess.CompletedProcess(["headgate", *arguments], status, *written)
    assert not check or status == 0, done.stderr
    return done
