"""Runs Debian's influxd in a folder of its own."""

import os
import shutil
from pathlib import Path
from typing import Self

import pytest

from support.foreign_server import ForeignServer
from support.waiting import free_port, poll_until

needs_influxd = pytest.mark.skipif(
    shutil.which("influxd") is None and not os.environ.get("CI"),
    reason="Debian's influxdb is not installed",
)

_CONFIGURATION = """\
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  query-log-enabled = false
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
  auth-enabled = {auth}
  shared-secret = "{secret}"
  log-enabled = false
  unix-socket-enabled = true
  bind-socket = "{folder}/influxdb.sock"
[subscriber]
  enabled = false
[continuous_queries]
  enabled = false
[logging]
  level = "error"
"""


class Influxd(ForeignServer):
    """An influxd with the client methods of `Server`; a context manager starts and stops it.

    *secret* is the shared secret of its tokens.
    """

    program = "influxd"

    def __init__(self, folder: Path, *, auth: bool = True, secret: str = "") -> None:
        super().__init__(folder)
        self._auth, self._secret = auth, secret
        self.socket = folder / "influxdb.sock"

    def arguments(self) -> list[str]:
        folder = self.store.parent
        path = folder / "influxdb.conf"
        auth = str(self._auth).lower()
        path.write_text(
            _CONFIGURATION.format(
                folder=folder, port=self.port, rpc=free_port(), auth=auth, secret=self._secret
            )
        )
        return ["-config", str(path)]

    def __enter__(self) -> Self:
        """Starts influxd; tries three times, because another program may have taken a port."""
        for _ in range(3):
            self.launch()
            poll_until(lambda: not self.running() or self.responds(), "influxd did not start")
            if self.running():
                return self
        raise AssertionError("influxd ended three times")
