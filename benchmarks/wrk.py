"""Debian's wrk: requests over some connections for some seconds, and what it says of them."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict, Unpack

_MICROSECONDS = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 6e7}
# What is sent is written once: in the middle of it all that is left is to choose.
_LUA = """\
local requests = {}
function init(args)
  math.randomseed(SEED)
  local logins, paths = {LOGINS}, {PATHS}
  for n = 1, COUNT do
    local login = logins[math.random(1, #logins)]
    local path = paths[math.random(1, #paths)]:gsub("#", function() return math.random(0, LAST) end)
    requests[n] = wrk.format("METHOD", path, {["Authorization"] = login})
  end
end
function request() return requests[math.random(1, COUNT)] end
"""


class Asked(TypedDict, total=False):
    """What is asked, if it is not `/` without any header; *script* says more."""

    path: str
    threads: int
    header: str
    script: Path | None


def wrk(
    port: int, seconds: int, connections: int, *, refused: bool = False, **asked: Unpack[Asked]
) -> str:
    """What it prints; every answer has to be a good one, or a bad one if it is to be *refused*."""
    command = command_line(port, seconds, connections, **asked)
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert ("Non-2xx" in said) == refused, said
    return said


def command_line(port: int, seconds: int, connections: int, **asked: Unpack[Asked]) -> list[str]:
    threads, header, script = asked.get("threads", 1), asked.get("header"), asked.get("script")
    command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "--latency"]
    command += ["--timeout", "10s"]
    command += ["-H", header] if header else []
    command += ["-s", str(script)] if script is not None else []
    return [*command, f"http://127.0.0.1:{port}{asked.get('path', '/')}"]


def write_script(
    script: Path,
    logins: Sequence[str],
    paths: Sequence[str],
    *,
    last: int = 0,
    method: str = "GET",
    count: int = 20_000,
) -> Path:
    """Writes into *script* what sends *count* requests over and over in any order: each with one of
    *logins* for its Authorization, and one of *paths*, a random number up to *last* for each `#`.
    """
    values = {
        "SEED": "7",
        "LOGINS": ", ".join(f'"{login}"' for login in logins),
        "PATHS": ", ".join(f'"{path}"' for path in paths),
        "COUNT": str(count),
        "LAST": str(last),
        "METHOD": method,
    }
    text = re.sub("|".join(values), lambda found: values[found[0]], _LUA)
    script.write_text(text)
    return script


def figure(said: str, name: str) -> str:
    """What stands behind *name* in it: `50%`, `99%`, `Requests/sec:`."""
    found = re.search(rf"(?m)^\s*{name}\s+(\S+)", said)
    assert found is not None, said
    return found[1]


def rate(said: str) -> float:
    """Requests a second."""
    return float(figure(said, "Requests/sec:"))


def latency(said: str, percent: int) -> float:
    """Microseconds in which so many of a hundred were answered."""
    found = re.fullmatch(r"([0-9.]+)([a-z]+)", figure(said, f"{percent}%"))
    assert found is not None, said
    return float(found[1]) * _MICROSECONDS[found[2]]
