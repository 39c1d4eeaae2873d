"""Runs Debian's influxd in a folder of its own."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Self

import pytest

from support.server_process import ServerProcess
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


class Influxd(ServerProcess):
    """An influxd with the client methods of `Server`; a context manager starts and stops it.

    *secret* is the shared secret of its tokens.
    """

    def __init__(self, folder: Path, *, auth: bool = True, secret: str = "") -> None:
        super().__init__(folder / "influxd")
        self._auth, self._secret = auth, secret
        self.socket = folder / "influxdb.sock"

    def launch(self) -> None:
        """Starts influxd on free ports, without waiting until it responds."""
        self.port = free_port()
        folder = self.store.parent
        path = folder / "influxdb.conf"
        auth = str(self._auth).lower()
        path.write_text(
            _CONFIGURATION.format(
                folder=folder, port=self.port, rpc=free_port(), auth=auth, secret=self._secret
            )
        )
        self.process = subprocess.Popen(
            ["influxd", "-config", str(path)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
        )

    def log(self) -> str:
        """Returns a fixed text: the log of influxd is discarded."""
        return "influxd's is not kept"

    def __enter__(self) -> Self:
        """Starts influxd; tries three times, because another program may have taken a port."""
        for _ in range(3):
            self.launch()
            poll_until(lambda: not self.running() or self.responds(), "influxd did not start")
            if self.running():
                return self
        raise AssertionError("influxd ended three times")

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(20)
