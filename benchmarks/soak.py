"""Runs a server under many connections with malformed requests; checks statuses and memory.

    soak.py [SECONDS] [CONNECTIONS]      60 and 1000 by default

Needs Debian's wrk. Every tenth request is malformed in one of several ways. Exits with 1 if:

* a response had a 5xx status other than 503, or the log has an unexpected error
* memory grew by more than a tenth after the warm-up
* the server did not exit with 0 after SIGTERM
"""

import json
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

# One in ten is malformed. Each is a complete request, because wrk waits for a response to each.
LUA = r"""
local basic = "Basic dG9kZDpzM2NyZXQ="
local form = "application/x-www-form-urlencoded"
local good = {
  wrk.format("GET", "/query?q=SHOW+GRANTS+FOR+todd", { Authorization = basic }),
  wrk.format("POST", "/query", { Authorization = basic, ["Content-Type"] = form },
             "q=SHOW+DATABASES"),
  wrk.format("GET", "/query?u=todd&p=s3cret&q=SHOW+DATABASES&chunked=true",
             { ["Accept-Encoding"] = "gzip" }),
  wrk.format("POST", "/write?db=db&u=todd&p=s3cret", {}, "m value=1"),
  wrk.format("GET", "/ping"),
}
local bad = {
  wrk.format("GET", "/query?q=SHOW+GRNTS", { Authorization = basic }),
  wrk.format("GET", "/query?q=%zz%00;;;", { Authorization = basic }),
  wrk.format("GET", "/query?q=SHOW+USERS", { Authorization = "Basic !!!" }),
  wrk.format("GET", "/query?q=SHOW+USERS", { Authorization = "Bearer a.b.c" }),
  wrk.format("BREW", "/query"),
  wrk.format("POST", "/query", { Authorization = basic,
             ["Content-Type"] = "multipart/form-data; boundary=x" }, "--x\r\nnonsense"),
  wrk.format("POST", "/write?db=db&u=todd&p=s3cret", { ["Content-Encoding"] = "gzip" }, "x"),
  "GET /ping HTTP/1.1\r\nHost: x\r\nNo colon here\r\n\r\n",
  "POST /query HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nxx",
  "nonsense\r\n\r\n",
}
local n = 0
function request()
  n = n + 1
  if n % 10 == 0 then return bad[n / 10 % #bad + 1] end
  return good[n % #good + 1]
end
"""


def main(seconds: int, connections: int) -> int:
    """Runs the test; returns the exit status."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 3 * connections), hard), hard))
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        log = Path(folder) / "log"
        server = start(Path(folder) / "users.db", port, log)
        try:
            return soak(server, port, Path(folder), seconds, connections, log)
        finally:
            if server.poll() is None:
                server.kill()


def start(store: Path, port: int, log: Path) -> subprocess.Popen[bytes]:
    """Starts a server on *port* and creates its users."""
    with open(log, "wb") as file:
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "headgate", "serve"),
                *("--bind", f"127.0.0.1:{port}", "--store", str(store)),
            ],
            stderr=file,
        )
    deadline = time.monotonic() + 20
    while True:
        try:
            ask(port, "CREATE USER root WITH PASSWORD 'Toor-1' WITH ALL PRIVILEGES", "")
            break
        except OSError:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
    ask(port, "CREATE DATABASE db; CREATE USER todd WITH PASSWORD 's3cret'", "&u=root&p=Toor-1")
    ask(port, "GRANT READ ON db TO todd", "&u=root&p=Toor-1")
    return server


def ask(port: int, text: str, login: str) -> None:
    """Sends the statements *text*; raises an error unless they succeed."""
    url = f"http://127.0.0.1:{port}/query?q={urllib.parse.quote(text)}{login}"
    with urllib.request.urlopen(url, b"", timeout=20) as answer:
        assert b'"error"' not in answer.read()


def soak(
    server: subprocess.Popen[bytes],
    port: int,
    folder: Path,
    seconds: int,
    connections: int,
    log: Path,
) -> int:
    """Runs the load, stops the server and prints the results; returns the exit status."""
    script = folder / "soak.lua"
    script.write_text(LUA)
    wrk(port, script, max(5, seconds // 6), connections)
    warm = resident_kib(server.pid)
    report = wrk(port, script, seconds, connections)
    settled = resident_kib(server.pid)
    began = time.monotonic()
    server.send_signal(signal.SIGTERM)
    status = server.wait(60)
    ended = time.monotonic() - began
    statuses: dict[str, int] = {}
    faults: list[str] = []
    for line in log.read_text().splitlines():
        found = re.search(r" status=(\d+)", line)
        if found is not None:
            statuses[found[1]] = statuses.get(found[1], 0) + 1
        elif "unexpected" in line or "Exception" in line or "Traceback" in line:
            faults.append(line)
    wrong = {code: n for code, n in statuses.items() if code >= "500" and code != "503"}
    print(report)
    print(json.dumps({"statuses": dict(sorted(statuses.items())), "faults": faults[:5]}))
    print(f"memory after warm-up {warm} KiB, at the end {settled} KiB ({settled / warm:.2f})")
    print(f"SIGTERM: exit status {status} after {ended:.1f} s")
    good = not wrong and not faults and settled <= 1.1 * warm and status == 0
    print("OK" if good else "FAILED")
    return 0 if good else 1


def wrk(port: int, script: Path, seconds: int, connections: int) -> str:
    """Runs wrk and returns its output."""
    done = subprocess.run(
        [
            *("wrk", "-t2", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"),
            *("-s", str(script), f"http://127.0.0.1:{port}"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def resident_kib(pid: int) -> int:
    """Returns the resident memory in KiB."""
    with open(f"/proc/{pid}/status") as file:
        line = next(line for line in file if line.startswith("VmRSS"))
    return int(line.split()[1])


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]]
    sys.exit(main(*(numbers + [60, 1000][len(numbers) :])))
