"""Runs a server of another project in a folder of its own."""

import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Self

from support.server_process import ServerProcess
from support.waiting import free_port, poll_until


class ForeignServer(ServerProcess, ABC):
    """A server with the client methods of `Server`; a context manager starts and stops it.

    Subclasses set the name of the *program*, and the path that is requested
    until the status is 200 or 204.
    """

    program: ClassVar[str]
    ready_path: ClassVar[str] = "/ping"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / self.program)

    @abstractmethod
    def arguments(self) -> list[str]:
        """Returns the arguments of the program; writes the files that they name."""

    def launch(self) -> None:
        """Starts the program on a free port, without waiting until it responds."""
        self.port = free_port()
        self.process = subprocess.Popen(
            [self.program, *self.arguments()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
        )

    def answers(self) -> bool:
        """Returns whether the server responds with status 200 or 204."""
        assert self.process is not None and self.process.poll() is None
        try:
            return self.request("GET", self.ready_path).status in (200, 204)
        except OSError:
            return False

    def log(self) -> str:
        """Returns a fixed text: the log of the program is discarded."""
        return f"the log of {self.program} is not kept"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.launch()
        poll_until(self.answers, f"{self.program} did not start")
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(20)
