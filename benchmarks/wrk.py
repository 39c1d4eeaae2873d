"""Debian's wrk: requests over some connections for some seconds, and what it says of them."""

import re
import subprocess
from pathlib import Path


def wrk(
    port: int,
    seconds: int,
    connections: int,
    *,
    path: str = "/",
    threads: int = 1,
    header: str = "",
    script: Path | None = None,
) -> str:
    """What it prints; every answer has to be a good one."""
    command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "--latency"]
    command += ["--timeout", "10s"]
    command += ["-H", header] if header else []
    command += ["-s", str(script)] if script is not None else []
    command.append(f"http://127.0.0.1:{port}{path}")
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in said, said
    return said


def figure(said: str, name: str) -> str:
    """What stands behind *name* in it: `50%`, `99%`, `Requests/sec:`."""
    found = re.search(rf"(?m)^\s*{name}\s+(\S+)", said)
    assert found is not None, said
    return found[1]


def rate(said: str) -> float:
    """Requests a second."""
    return float(figure(said, "Requests/sec:"))
