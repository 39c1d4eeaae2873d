"""Measures time and memory of the shell, and of influx, for 100,000 rows in each format.

PYTHONPATH=tests shell_formats.py [ROWS [ROUNDS]]      100,000 and 3 by default

The rows come from Debian's influxd. Rounds are interleaved. Prints the median of the times and the
maximum of the memory.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from support.influxd import Influxd

INFLUX = ("influx",)
OURS = (sys.executable, "-m", "headgate", "shell")
FORMATS = ("column", "csv", "json", "table", "vertical", "markdown")
OF_INFLUX = FORMATS[:3]


def run(command: list[str], output: Path) -> tuple[float, int]:
    """Runs *command*; returns its seconds and its maximum memory in KiB."""
    began = time.perf_counter()
    with output.open("wb") as file:
        process = subprocess.Popen(command, stdout=file)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return time.perf_counter() - began, used.ru_maxrss


def fill(influxd: Influxd, rows: int) -> None:
    """Writes *rows* points to the database m."""
    influxd.query("CREATE DATABASE m", None)
    lines = [
        f"cpu,host=server{number % 50} usage={number / 7:.3f},free={number}i {number + 1}"
        for number in range(rows)
    ]
    for start in range(0, rows, 10_000):
        body = "\n".join(lines[start : start + 10_000]).encode()
        answer = influxd.request("POST", "/write?db=m", body)
        assert answer.status == 204, answer.body


def main() -> int:
    """Runs the benchmark; returns the exit status."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    found: dict[tuple[str, bool], list[tuple[float, int]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "output"
        with Influxd(Path(folder), auth=False) as influxd:
            fill(influxd, rows)
            where = ["-host", "127.0.0.1", "-port", str(influxd.port), "-database", "m"]
            for _ in range(rounds):
                for format in FORMATS:
                    for program in (INFLUX, OURS) if format in OF_INFLUX else (OURS,):
                        asked = ["-execute", "SELECT * FROM cpu", "-format", format]
                        once = run([*program, *where, *asked], output)
                        found.setdefault((format, program is INFLUX), []).append(once)
    print(f"{rows} rows  {'influx':>20} {'headgate shell':>20}")
    for format in FORMATS:
        texts = []
        for theirs in (True, False):
            runs = found.get((format, theirs), [])
            seconds = statistics.median(one[0] for one in runs) if runs else 0
            most = max((one[1] for one in runs), default=0) // 1024
            texts.append(f"{seconds:.2f} s {most:5} MiB" if runs else "")
        print(f"{format:11} {texts[0]:>20} {texts[1]:>20}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
