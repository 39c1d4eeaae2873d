"""Authenticated `SHOW GRANTS FOR u` a second, next to the real influxd, in one run.

Needs Debian's influxdb and wrk. Rounds are interleaved, since the machine is never alone.
"""

import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path

ROUNDS, SECONDS, CONNECTIONS = 5, 4, 32
LOGIN = b64encode(b"root:Toor-1").decode()
SETUP = [
    "CREATE USER root WITH PASSWORD 'Toor-1' WITH ALL PRIVILEGES",
    "CREATE DATABASE db",
    "CREATE USER u WITH PASSWORD 'x'",
    "GRANT READ ON db TO u",
]
INFLUXD = """\
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
  auth-enabled = true
  log-enabled = false
[logging]
  level = "error"
"""


@dataclass
class Contender:
    name: str
    port: int
    process: subprocess.Popen[bytes]
    rates: list[float] = field(default_factory=list)

    def ready(self) -> None:
        """Waits until it answers, then makes the user and his grant."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ping", timeout=2).close()
                break
            except OSError:
                time.sleep(0.05)
        for statement in SETUP:
            self.ask(statement)

    def ask(self, statement: str) -> bytes:
        body = urllib.parse.urlencode({"q": statement}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/query", body)
        if statement is not SETUP[0]:
            request.add_header("Authorization", f"Basic {LOGIN}")
        with urllib.request.urlopen(request, timeout=20) as response:
            answer: bytes = response.read()
        return answer

    def round(self) -> None:
        """One round of wrk; keeps its requests a second."""
        url = f"http://127.0.0.1:{self.port}/query?q=SHOW+GRANTS+FOR+u"
        done = subprocess.run(
            [
                "wrk",
                "-t1",
                f"-c{CONNECTIONS}",
                f"-d{SECONDS}s",
                "-H",
                f"Authorization: Basic {LOGIN}",
                url,
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        assert "Non-2xx" not in done.stdout, done.stdout
        (line,) = (line for line in done.stdout.splitlines() if "Requests/sec" in line)
        self.rates.append(float(line.split()[1]))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def start(folder: Path, workers: int) -> list[Contender]:
    port = free_port()
    (folder / "influxdb.conf").write_text(INFLUXD.format(folder=folder, port=port, rpc=free_port()))
    quiet = subprocess.DEVNULL
    influxd = ["influxd", "-config", str(folder / "influxdb.conf")]
    contenders = [Contender("influxd", port, subprocess.Popen(influxd, stdout=quiet, stderr=quiet))]
    for number in range(1, workers + 1):
        port = free_port()
        command = [
            *(sys.executable, "-m", "headgate", "serve", "--bind", f"127.0.0.1:{port}"),
            *("--store", str(folder / f"{number}.db"), "--workers", str(number)),
        ]
        process = subprocess.Popen(
            command,
            env=os.environ | {"HEADGATE_HTTP_LOG_ENABLED": "false"},  # as influxd's above
            stdout=quiet,
            stderr=quiet,
        )
        contenders.append(Contender(f"headgate, {number} worker(s)", port, process))
    return contenders


def main() -> None:
    for program in ("influxd", "wrk"):
        if shutil.which(program) is None:
            sys.exit(f"{program} is not installed (Debian: influxdb, wrk)")
    with tempfile.TemporaryDirectory() as name:
        contenders = start(Path(name), workers=2)
        try:
            for contender in contenders:
                contender.ready()
            for _ in range(ROUNDS):
                for contender in contenders:
                    contender.round()
        finally:
            for contender in contenders:
                contender.process.send_signal(signal.SIGTERM)
            for contender in contenders:
                contender.process.wait(20)
    base = statistics.median(contenders[0].rates)
    print(f"SHOW GRANTS FOR u, Basic, {CONNECTIONS} connections, {ROUNDS} rounds of {SECONDS} s")
    for contender in contenders:
        middle = statistics.median(contender.rates)
        spread = f"{min(contender.rates):.0f} to {max(contender.rates):.0f}"
        print(f"{contender.name:24} {middle:8.0f}/s  ({spread})  {middle / base:.2f} of influxd")


if __name__ == "__main__":
    main()
