"""Runs Debian's wrk and reads its output."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict, Unpack

_MICROSECONDS = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 6e7}
# All requests are formatted before the measurement, which then only chooses among them.
_LUA_TEMPLATE = """\
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


class WrkOptions(TypedDict, total=False):
    """Options of a wrk run; by default it requests `/` with one thread and without a header."""

    path: str
    threads: int
    header: str
    script: Path | None


def wrk(
    port: int, seconds: int, connections: int, *, refused: bool = False, **asked: Unpack[WrkOptions]
) -> str:
    """Runs wrk and returns its output.

    Asserts that all responses succeed, or, with *refused*, that some do not.
    """
    command = command_line(port, seconds, connections, **asked)
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert ("Non-2xx" in output) == refused, output
    return output


def command_line(
    port: int, seconds: int, connections: int, **asked: Unpack[WrkOptions]
) -> list[str]:
    """Returns the command line of wrk."""
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
    """Writes a wrk script to *script* and returns its path.

    The script sends *count* prepared requests over and over in random order. Each has one of
    *logins* as its Authorization header and one of *paths*, with a random number up to *last* for
    each `#`.
    """
    values = {
        "SEED": "7",
        "LOGINS": ", ".join(f'"{login}"' for login in logins),
        "PATHS": ", ".join(f'"{path}"' for path in paths),
        "COUNT": str(count),
        "LAST": str(last),
        "METHOD": method,
    }
    text = re.sub("|".join(values), lambda found: values[found[0]], _LUA_TEMPLATE)
    script.write_text(text)
    return script


def figure(output: str, name: str) -> str:
    """Returns the value after *name* in wrk's output: `50%`, `99%`, `Requests/sec:`."""
    found = re.search(rf"(?m)^\s*{name}\s+(\S+)", output)
    assert found is not None, output
    return found[1]


def rate(output: str) -> float:
    """Returns requests per second."""
    return float(figure(output, "Requests/sec:"))


def latency(output: str, percent: int) -> float:
    """Returns the latency in microseconds that *percent* of the responses did not exceed."""
    found = re.fullmatch(r"([0-9.]+)([a-z]+)", figure(output, f"{percent}%"))
    assert found is not None, output
    return float(found[1]) * _MICROSECONDS[found[2]]
