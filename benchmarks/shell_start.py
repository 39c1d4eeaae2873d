"""Measures the start-up time of `headgate shell` in a script, against `python3 -c pass`.

PYTHONPATH=tests shell_start.py [ROUNDS]      30 by default, interleaved
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import Server

SHELL = [sys.executable, "-m", "headgate", "shell", "-username", "root", "-password", "Toor-1"]


def seconds(command: list[str]) -> float:
    """Returns the duration of *command* in seconds."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> int:
    """Runs the benchmark; returns the exit status."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "users.db").start()
        try:
            server.bootstrap()
            shell = [*SHELL, "-host", "127.0.0.1", "-port", str(server.port)]
            commands = {
                "python3 -c pass": [sys.executable, "-c", "pass"],
                "headgate shell -version": [*shell, "-version"],
                "headgate shell -execute 'SHOW USERS'": [*shell, "-execute", "SHOW USERS"],
            }
            times: dict[str, list[float]] = {name: [] for name in commands}
            for _ in range(rounds):
                for name, command in commands.items():
                    times[name].append(seconds(command))
        finally:
            server.stop()
    base = statistics.median(times["python3 -c pass"])
    for name, found in times.items():
        middle = statistics.median(found)
        print(f"{name:38} {1000 * middle:6.1f} ms  {middle / base:.1f} times python3 -c pass")
    return 0


if __name__ == "__main__":
    sys.exit(main())
