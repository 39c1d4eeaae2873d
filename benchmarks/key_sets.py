"""Measures how a faulty JWK set server affects requests with a cached key.

PYTHONPATH=tests key_sets.py [SECONDS]      18 by default

The key server sends a valid response once, then the faulty response named in the output. Keys are
cached for 12 s, and fetched again after 9.6 s. 8 connections of wrk send a new token each time.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from wrk import figure, wrk

from harness import Server
from support import made_tokens as made
from support.key_server import KeyServer, Said

KEY = made.key("known")
GOOD = json.dumps({"keys": [made.jwk(KEY, kid="known")]}).encode()
ROTATED = json.dumps({"keys": [made.jwk(made.key("new"), kid="new"), *json.loads(GOOD)["keys"]]})
KINDS = {
    "well": Said(200, GOOD),
    "slow, 1 s": Said(200, GOOD, seconds=1),
    "hangs": Said(200, GOOD, seconds=60),
    "answers 500": Said(500),
    "answers nonsense": Said(200, b"<html>"),
    "10 MiB": Said(200, GOOD.ljust(10 << 20)),
    "redirects": Said(302, b"", {"Location": "http://localhost:1/"}),
    "rotates": Said(200, ROTATED.encode()),
}
LUA = """\
local tokens, turn = {{}}, 0
for line in io.lines("{path}") do tokens[#tokens + 1] = line end
request = function()
  turn = turn % #tokens + 1
  wrk.headers["X-Token"] = tokens[turn]
  return wrk.format("GET", "/query?q=SHOW+DATABASES")
end
"""
CONFIGURATION = """\
[http]
log-enabled = false
[auth.jwt]
enabled = true
header-name = "X-Token"
username-claim = "sub"
jwk-set-url = "{url}"
allow-insecure-jwk-set-url = true
cache-ttl = "12s"
min-cache-ttl = "5s"
"""


def measure(folder: Path, faulty_response: Said, seconds: int) -> tuple[str, str, str, int]:
    """Returns median, p99, requests per second, and the number of requests for the keys."""
    with KeyServer([Said(200, GOOD), faulty_response]) as keys:
        path = folder / "headgate.toml"
        path.write_text(CONFIGURATION.format(url=keys.url))
        server = Server(folder / "users.db", ("--config", str(path))).start()
        try:
            server.bootstrap("CREATE USER app WITH PASSWORD 'x'")
            output = wrk(server.port, seconds, 8, script=folder / "ask.lua")
        finally:
            server.stop()
        fetches = len(keys.asked)
    median, worst, per_second = (figure(output, name) for name in ("50%", "99%", "Requests/sec:"))
    return median, worst, per_second, fetches


def main() -> int:
    """Runs the benchmark; returns the exit status."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 18
    with tempfile.TemporaryDirectory() as folder:
        expires = int(time.time()) + 3600
        (Path(folder) / "tokens").write_text(
            "\n".join(
                made.token(
                    KEY, {"sub": "app", "exp": expires, "jti": number}, header={"kid": "known"}
                )
                for number in range(15_000)
            )
        )
        (Path(folder) / "ask.lua").write_text(LUA.format(path=Path(folder) / "tokens"))
        for name, said in KINDS.items():
            with tempfile.TemporaryDirectory(dir=folder) as place:
                (Path(place) / "ask.lua").symlink_to(Path(folder) / "ask.lua")
                median, worst, rate, asked = measure(Path(place), said, seconds)
            print(f"{name:18} p50 {median:>8}  p99 {worst:>8}  {rate:>8}/s  asked {asked} times")
    return 0


if __name__ == "__main__":
    sys.exit(main())
