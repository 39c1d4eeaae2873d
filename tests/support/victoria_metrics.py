"""Runs Debian's victoria-metrics in a folder of its own."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import pytest

from support.server_process import ServerProcess
from support.waiting import free_port, poll_until

needs_victoria = pytest.mark.skipif(
    shutil.which("victoria-metrics") is None and not os.environ.get("CI"),
    reason="Debian's victoria-metrics is not installed",
)


class Victoria(ServerProcess):
    """A VictoriaMetrics with `Server`'s client methods; a context manager starts and stops it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "victoria")

    def launch(self) -> None:
        self.port = free_port()
        self.process = subprocess.Popen(
            [
                "victoria-metrics",
                f"-storageDataPath={self.store}",
                f"-httpListenAddr=127.0.0.1:{self.port}",
                "-retentionPeriod=100y",
                "-search.latencyOffset=0s",
                "-loggerLevel=ERROR",
                "-memory.allowedBytes=200MB",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
        )

    def answers(self) -> bool:
        """Returns whether VictoriaMetrics responds."""
        assert self.process is not None and self.process.poll() is None
        try:
            return self.request("GET", "/health").status == 200
        except OSError:
            return False

    def log(self) -> str:
        """Returns a fixed text: the log of VictoriaMetrics is discarded."""
        return "victoria-metrics' is not kept"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def series(self, selector: str = '{__name__!=""}') -> list[dict[str, str]]:
        """Returns the labels of all series that *selector* matches, including new ones."""
        self.request("GET", "/internal/force_flush")
        query = urlencode({"match[]": selector, "start": "0"})
        answer: list[dict[str, Any]] = self.request("GET", f"/api/v1/series?{query}").json["data"]
        return answer

    def __enter__(self) -> Self:
        self.launch()
        poll_until(self.answers, "victoria-metrics did not start")
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(20)
