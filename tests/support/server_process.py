"""Runs `headgate serve` in a process of its own, to test signals, workers, starts and faults."""

import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from support.programs_of_ours import HEADGATE, ForkedProcess, start_headgate
from support.servers import Server, reason_of
from support.waiting import free_port, poll_until

# The minimum cost, to save time: bcrypt itself is tested elsewhere.
CHEAP = {"HEADGATE_AUTH_BCRYPT_COST": "4"}


@dataclass
class ServerProcess(Server):
    """A process of `headgate serve`, with a store in its own folder.

    If *fresh* is set, or *prefix* has the words of a command that runs it, a new interpreter
    starts. Otherwise the process is forked from one that has imported the program, which saves a
    second of CPU time.
    """

    process: "subprocess.Popen[bytes] | ForkedProcess | None" = None
    prefix: tuple[str, ...] = ()
    fresh: bool = True

    def start(self) -> Self:
        self.launch()
        poll_until(self.answers, f"server did not start: {self.log()}")
        return self

    def attempt(self) -> str:
        known = len(self.log()) if self.beside.with_suffix(".log").exists() else 0
        self.launch()
        assert self.process is not None
        poll_until(lambda: not self.running() or self.responds(), f"no start: {self.log()}")
        if self.running():
            return ""
        assert self.process.wait() == 1, self.log()
        self.write_secrets()
        return reason_of(self.log()[known:].splitlines())

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def launch(self) -> None:
        """Starts the process, without waiting until it responds."""
        self.port = self.port or free_port()
        arguments = [
            "serve",
            *("--bind", f"127.0.0.1:{self.port}", "--store", str(self.store), *self.flags),
        ]
        environment = os.environ | CHEAP | self.environment
        with open(self.beside.with_suffix(".log"), "ab") as log, open(os.devnull, "rb") as none:
            if self.fresh or self.prefix:
                self.process = subprocess.Popen(
                    [*self.prefix, *HEADGATE, *arguments],
                    env=environment,
                    stdout=log,
                    stderr=log,
                    stdin=none,
                    process_group=0,  # so that all its processes can be killed at once
                )
            else:
                self.process = start_headgate(
                    arguments,
                    environment=environment,
                    stdin=none.fileno(),
                    stdout=log.fileno(),
                    stderr=log.fileno(),
                    own_group=True,
                )

    def answers(self) -> bool:
        """Returns whether the server responds; asserts that it is running."""
        assert self.running(), f"server ended: {self.log()}"
        return self.responds()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stops the server with the signal *number*; returns its exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        status = self.process.wait(30)
        self.write_secrets()
        return status

    def reload(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)

    def workers(self) -> set[int]:
        """Returns the process IDs of the worker processes, if there are several.

        The resource tracker of multiprocessing is another child, and left out.
        """
        assert self.process is not None
        pid = self.process.pid
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return {int(child) for child in listed if b"spawn_main" in command_line(child)}

    def kill(self) -> None:
        """Kills the server and its workers with SIGKILL."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.stop(signal.SIGKILL)


def command_line(pid: str) -> bytes:
    """Returns the arguments of the process *pid*; b"" if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
