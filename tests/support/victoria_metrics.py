"""Runs Debian's victoria-metrics in a folder of its own."""

import os
import shutil
from typing import Any
from urllib.parse import urlencode

import pytest

from support.foreign_server import ForeignServer

needs_victoria = pytest.mark.skipif(
    shutil.which("victoria-metrics") is None and not os.environ.get("CI"),
    reason="Debian's victoria-metrics is not installed",
)


class Victoria(ForeignServer):
    """A VictoriaMetrics with `Server`'s client methods; a context manager starts and stops it."""

    program = "victoria-metrics"
    ready_path = "/health"

    def arguments(self) -> list[str]:
        return [
            f"-storageDataPath={self.store}",
            f"-httpListenAddr=127.0.0.1:{self.port}",
            "-retentionPeriod=100y",
            "-search.latencyOffset=0s",
            "-loggerLevel=ERROR",
            "-memory.allowedBytes=200MB",
        ]

    def series(self, selector: str = '{__name__!=""}') -> list[dict[str, str]]:
        """Returns the labels of all series that *selector* matches, including new ones."""
        self.request("GET", "/internal/force_flush")
        query = urlencode({"match[]": selector, "start": "1", "end": "4102444800"})
        answer: list[dict[str, Any]] = self.request("GET", f"/api/v1/series?{query}").json["data"]
        return answer
