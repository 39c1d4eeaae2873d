"""Runs Debian's prometheus in a folder of its own; it scrapes itself once a second."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import pytest

from support.server_process import ServerProcess
from support.waiting import free_port, poll_until

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None and not os.environ.get("CI"),
    reason="Debian's prometheus is not installed",
)

_CONFIGURATION = """\
global: {{scrape_interval: 1s}}
scrape_configs:
- job_name: self
  static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
{remote}"""


class Prometheus(ServerProcess):
    """A Prometheus with the client methods of `Server`; a context manager starts and stops it.

    *remote* is YAML that is appended to its configuration file.
    """

    def __init__(self, folder: Path, remote: str = "") -> None:
        super().__init__(folder / "prometheus")
        self._remote = remote

    def launch(self) -> None:
        self.port = free_port()
        path = self.store.with_suffix(".yml")
        path.write_text(_CONFIGURATION.format(port=self.port, remote=self._remote))
        self.process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={path}",
                f"--storage.tsdb.path={self.store}",
                f"--web.listen-address=127.0.0.1:{self.port}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
        )

    def answers(self) -> bool:
        """Returns whether Prometheus is ready."""
        assert self.process is not None and self.process.poll() is None
        try:
            return self.request("GET", "/-/ready").status == 200
        except OSError:
            return False

    def log(self) -> str:
        """Returns a fixed text: the log of Prometheus is discarded."""
        return "prometheus' is not kept"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def samples(self, query: str) -> list[Any]:
        """Returns the result of the instant query *query*."""
        answer = self.request("GET", "/api/v1/query?" + urlencode({"query": query}))
        result: list[Any] = answer.json["data"]["result"]
        return result

    def __enter__(self) -> Self:
        self.launch()
        poll_until(self.answers, "prometheus did not start")
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(20)
