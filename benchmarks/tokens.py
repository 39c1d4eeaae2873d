"""Measures requests per second with tokens by kind of key: one token, and always new ones.

PYTHONPATH=tests tokens.py [SECONDS [ROUNDS]]      5 and 3 by default

Sends `SHOW DATABASES` over 16 connections of wrk, also to Debian's influxd with the shared secret.
Rounds are interleaved. "Always new" means 20,000 tokens in turn, twice as many as the cache holds.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from wrk import rate, wrk

from harness import Server
from support import made_tokens as made
from support.influxd import Influxd

SECRET = b"a secret that is long enough for HS512, and for everybody else as well"
KEYS = {
    "RS256": made.key("rsa"),
    "ES256": made.key("ec", "EC", "P-256"),
    "EdDSA": made.key("ed", "OKP", "Ed25519"),
}
TOKEN_COUNT = 20_000
LUA = """\
local tokens = {{}}
for line in io.lines("{path}") do tokens[#tokens + 1] = line end
local turn = 0
request = function()
  turn = turn % #tokens + 1
  wrk.headers["{header}"] = "{scheme}" .. tokens[turn]
  return wrk.format("GET", "/query?q=SHOW+DATABASES")
end
"""


def tokens(algorithm: str, count: int) -> list[str]:
    """Returns *count* different tokens."""
    expires = int(time.time()) + 3600
    if algorithm == "HS256":
        return [
            made.token(SECRET, {"username": "app", "exp": expires, "jti": number}, "HS256")
            for number in range(count)
        ]
    return [
        made.token(
            KEYS[algorithm], {"sub": "app", "exp": expires, "jti": number}, algorithm,
            {"kid": algorithm},
        )
        for number in range(count)
    ]  # fmt: skip


def script(folder: Path, algorithm: str, count: int) -> Path:
    """Writes a wrk script that sends *count* different tokens in turn; returns its path."""
    name = f"{algorithm}-{count}"
    (folder / f"{name}.txt").write_text("\n".join(tokens(algorithm, count)))
    shared = algorithm == "HS256"
    header, scheme = ("Authorization", "Bearer ") if shared else ("X-Token", "")
    path = folder / f"{name}.lua"
    path.write_text(LUA.format(path=folder / f"{name}.txt", header=header, scheme=scheme))
    return path


def start_server(folder: Path) -> Server:
    """Starts a server that accepts all kinds of tokens."""
    jwks = {"keys": [made.jwk(key, kid=kid) for kid, key in KEYS.items()]}
    (folder / "keys.json").write_text(json.dumps(jwks))
    path = folder / "headgate.toml"
    path.write_text(
        f'[http]\nshared-secret = "{SECRET.decode()}"\nlog-enabled = false\n'
        f'[auth.jwt]\nenabled = true\nheader-name = "X-Token"\nusername-claim = "sub"\n'
        f'jwk-set-file = "{folder}/keys.json"\nadopt-existing = "any"\n'
    )
    return Server(folder / "users.db", ("--config", str(path))).start()


def main() -> int:
    """Runs the benchmark; returns the exit status."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with tempfile.TemporaryDirectory() as place, tempfile.TemporaryDirectory() as other:
        folder = Path(place)
        server = start_server(folder)
        users = "CREATE USER app WITH PASSWORD 'x'"
        try:
            server.bootstrap(users)
            with Influxd(Path(other), secret=SECRET.decode()) as influxd:
                influxd.bootstrap(users)
                cases = [
                    ("influxd", influxd.port, "HS256", 1),
                    ("influxd", influxd.port, "HS256", TOKEN_COUNT),
                ]
                for algorithm in ("HS256", *KEYS):
                    cases += [("headgate", server.port, algorithm, n) for n in (1, TOKEN_COUNT)]
                scripts = {case: script(folder, case[2], case[3]) for case in cases}
                found: dict[tuple[str, int, str, int], list[float]] = {case: [] for case in cases}
                for _ in range(rounds):
                    for case in cases:
                        output = wrk(case[1], seconds, 16, threads=2, script=scripts[case])
                        found[case].append(rate(output))
        finally:
            server.stop()
    base = statistics.median(found[cases[0]])
    for case in cases:
        middle = statistics.median(found[case])
        kind = "the same token" if case[3] == 1 else "ever new tokens"
        print(f"{case[0]:9} {case[2]:6} {kind:16} {middle:8.0f}/s  {middle / base:.2f} of influxd")
    return 0


if __name__ == "__main__":
    sys.exit(main())
