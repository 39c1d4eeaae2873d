"""Runs Debian's prometheus in a folder of its own; it scrapes itself once a second."""

import os
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from support.foreign_server import ForeignServer

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


class Prometheus(ForeignServer):
    """A Prometheus with the client methods of `Server`; a context manager starts and stops it.

    *remote* is YAML that is appended to its configuration file.
    """

    program = "prometheus"
    ready_path = "/-/ready"

    def __init__(self, folder: Path, remote: str = "") -> None:
        super().__init__(folder)
        self._remote = remote

    def arguments(self) -> list[str]:
        path = self.store.with_suffix(".yml")
        path.write_text(_CONFIGURATION.format(port=self.port, remote=self._remote))
        return [
            f"--config.file={path}",
            f"--storage.tsdb.path={self.store}",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]

    def samples(self, query: str) -> list[Any]:
        """Returns the result of the instant query *query*."""
        answer = self.request("GET", "/api/v1/query?" + urlencode({"query": query}))
        result: list[Any] = answer.json["data"]["result"]
        return result
