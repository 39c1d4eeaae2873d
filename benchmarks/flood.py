"""Measures how wrong passwords, as fast as 32 connections can send them, affect other users.

    PYTHONPATH=tests flood.py [ROUNDS]      3 by default

Needs Debian's wrk. Unlike guessing.py it sends without a pause. Half the guesses are for an
existing user, half for names that do not exist.
"""

import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from guessing import ROUND_SECONDS, CachedLoginFigures

from harness import Server

LUA = """\
local n = 0
request = function()
  n = n + 1
  local name = n % 2 == 0 and "todd" or "nobody" .. n
  return wrk.format("GET", "/query?q=SHOW+DATABASES&u=" .. name .. "&p=wrong" .. n)
end
"""


def run_beside_flood(port: int, script: Path, good: CachedLoginFigures) -> float:
    """Runs a round beside the flood; returns the rate of answered guesses per second."""
    flood = subprocess.Popen(
        [
            "wrk",
            "-t1",
            "-c32",
            f"-d{ROUND_SECONDS}s",
            "-s",
            str(script),
            f"http://127.0.0.1:{port}",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    good.round(port)
    output, _ = flood.communicate(timeout=60)
    found = re.search(r"Requests/sec:\s+([0-9.]+)", output)
    assert found is not None, output
    return float(found[1])


def main() -> int:
    """Runs the benchmark; returns the exit status, 1 if a bound is exceeded."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    environment = {"HEADGATE_AUTH_BCRYPT_COST": "10", "HEADGATE_HTTP_LOG_ENABLED": "false"}
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "flood.lua"
        script.write_text(LUA)
        server = Server(Path(folder) / "users.db", environment=environment).start()
        alone, beside = CachedLoginFigures(), CachedLoginFigures()
        try:
            server.bootstrap("CREATE DATABASE db; CREATE USER todd WITH PASSWORD 's3cret'")
            assert server.query("SHOW DATABASES", ("todd", "s3cret")).status == 200
            guesses = []
            for _ in range(rounds):
                alone.round(server.port)
                guesses.append(run_beside_flood(server.port, script, beside))
        finally:
            server.stop()
    rate = statistics.median(beside.rates) / statistics.median(alone.rates)
    late = statistics.median(beside.p99) / statistics.median(alone.p99)
    print(alone.line("without a flood"))
    print(beside.line("beside it"))
    print(f"rate {rate:.2f}, p99 {late:.2f} of without; {statistics.median(guesses):.0f} guesses/s")
    return 0 if rate >= 0.25 and late <= 3 and not beside.refused else 1


if __name__ == "__main__":
    sys.exit(main())
