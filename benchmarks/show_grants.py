"""Authenticated `SHOW GRANTS FOR u` a second, next to the real influxd, in one run.

PYTHONPATH=tests show_grants.py

Needs Debian's influxdb and wrk. Rounds are interleaved, since the machine is never alone.
"""

import shutil
import statistics
import sys
import tempfile
from base64 import b64encode
from pathlib import Path

from wrk import rate, wrk

from harness import ROOT, Server
from influxd_program import Influxd

ROUNDS, SECONDS, CONNECTIONS = 5, 4, 32
LOGIN = f"Authorization: Basic {b64encode(':'.join(ROOT).encode()).decode()}"
SETUP = ("CREATE DATABASE db", "CREATE USER u WITH PASSWORD 'x'", "GRANT READ ON db TO u")


def ours(folder: Path, workers: int) -> Server:
    quiet = {"HEADGATE_HTTP_LOG_ENABLED": "false"}  # as influxd is
    return Server(folder / f"{workers}.db", ("--workers", str(workers)), quiet).start()


def main() -> None:
    for program in ("influxd", "wrk"):
        if shutil.which(program) is None:
            sys.exit(f"{program} is not installed (Debian: influxdb, wrk)")
    with tempfile.TemporaryDirectory() as name, Influxd(Path(name)) as influxd:
        servers = {"influxd": influxd} | {
            f"headgate, {workers} worker(s)": ours(Path(name), workers) for workers in (1, 2)
        }
        try:
            rates: dict[str, list[float]] = {title: [] for title in servers}
            for server in servers.values():
                server.bootstrap(*SETUP)
            for _ in range(ROUNDS):
                for title, server in servers.items():
                    path = "/query?q=SHOW+GRANTS+FOR+u"
                    said = wrk(server.port, SECONDS, CONNECTIONS, path=path, header=LOGIN)
                    rates[title].append(rate(said))
        finally:
            for title, server in servers.items():
                if title != "influxd":
                    server.stop()
    base = statistics.median(rates["influxd"])
    for title, found in rates.items():
        middle = statistics.median(found)
        print(f"{title:24} {middle:9.0f} requests/s  {middle / base:.2f} of influxd")


if __name__ == "__main__":
    main()
