"""Compares Headgate with influxd for every kind of request that Headgate answers itself.

    PYTHONPATH=tests every_request.py [--rounds 3] [--seconds 1] [--connections 1,16,64] [--rows X]

Needs Debian's influxdb and wrk. Each row is a kind of statement or refusal, a way to send it and a
way to log in. Rounds are interleaved, because other programs use the machine too. The figures are
ratios of Headgate's rate to influxd's: one worker process, neither program with an access log.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from contest import AS_ROOT, INFLUXD, ONE_WORKER, SECRET, Contest, basic, warm_password_cache
from population import PASSWORD, ROOT, Population
from wrk import latency, rate, wrk

from harness import Server
from headgate_server.auth.shared_secret import mint

_USERS = 20
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True)
class Case:
    """A kind of request. Each `#` in *target* or *body* becomes a number that was not sent yet."""

    title: str
    target: str
    method: str = "GET"
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    login: str = AS_ROOT
    refused: bool = False  # whether the status is an error
    minimum: float = 1.0
    influxd_login: str = ""  # another login for influxd 1.6, which takes no `Token`


def _query(text: str, **fields: str) -> str:
    return "/query?" + urlencode({"q": text} | fields).replace("%23", "#")


def _cases() -> Sequence[Case]:
    user = f"Authorization: {basic('u0')}"
    as_user = {"u": "u0", "p": PASSWORD}
    as_root = {"u": ROOT, "p": PASSWORD}
    token = f"Authorization: Bearer {mint(ROOT, SECRET, time.time() + 3600)}"
    pair = f"Authorization: Token {ROOT}:{PASSWORD}"
    csv, msgpack = {"Accept": "application/csv"}, {"Accept": "application/x-msgpack"}
    reads = {
        "SHOW GRANTS": "SHOW GRANTS FOR u0",
        "SHOW USERS": "SHOW USERS",
        "SHOW DATABASES": "SHOW DATABASES",
        "two statements": "SHOW DATABASES; SHOW GRANTS FOR u0",
    }
    cases = []
    for title, text in reads.items():
        form = urlencode({"q": text})
        cases += [
            Case(f"{title}, GET, Basic", _query(text)),
            Case(f"{title}, GET, u and p", _query(text, **as_root), login=""),
            Case(f"{title}, GET, Token", _query(text), login=pair, influxd_login=AS_ROOT),
            Case(f"{title}, GET, JWT", _query(text), login=token),
            Case(f"{title}, GET, CSV", _query(text), headers=csv),
            Case(f"{title}, GET, MessagePack", _query(text), headers=msgpack),
            Case(f"{title}, GET, pretty", _query(text, pretty="true")),
            Case(f"{title}, POST form, Basic", "/query", "POST", form, _FORM),
            Case(f"{title}, POST form, JWT", "/query", "POST", form, _FORM, token),
            Case(f"{title}, GET, with db", _query(text, db="db0")),
        ]
    denied, wrong = "SELECT * FROM db5..m", f"Authorization: {basic('unknown')}"
    write = {"method": "POST", "body": "m v=1", "refused": True, "minimum": 0.8}
    return [
        *cases,
        Case("SHOW DATABASES, as a user", _query("SHOW DATABASES"), login=user),
        Case("SHOW DATABASES, as a user, u and p", _query("SHOW DATABASES", **as_user), login=""),
        Case("SHOW GRANTS, never seen", _query("SHOW GRANTS FOR u0 -- #")),
        Case("SHOW DATABASES, never seen", _query("SHOW DATABASES -- #")),
        Case("CREATE DATABASE again", _query("CREATE DATABASE db0"), "POST"),
        Case("CREATE DATABASE, new", _query("CREATE DATABASE new#"), "POST"),
        Case("GRANT, form", "/query", "POST", urlencode({"q": "GRANT READ ON db1 TO u1"}), _FORM),
        Case(
            "GRANT and REVOKE",
            _query("GRANT READ ON db1 TO u1; REVOKE READ ON db1 FROM u1"),
            "POST",
        ),
        Case("403, GET", _query(denied, db="db0"), login=user, refused=True, minimum=0.8),
        Case(
            *("403, POST form", "/query", "POST", urlencode({"q": denied, "db": "db0"})),
            *(_FORM, user, True, 0.8),
        ),
        Case("403, /write", "/write?db=db5", login=user, **write),  # type: ignore[arg-type]
        Case("404, /write", "/write?db=nowhere", **write),  # type: ignore[arg-type]
        Case("401, wrong user", _query("SHOW USERS"), login=wrong, refused=True, minimum=0.8),
        Case("401, no login", _query("SHOW USERS"), login="", refused=True, minimum=0.8),
        Case("400, parse error", _query("SHOW GRANTS FORR"), refused=True, minimum=0.8),
        Case("400, no q", "/query", refused=True, minimum=0.8),
        Case("404, path", "/nowhere", refused=True, minimum=0.8),
        Case("/ping", "/ping", login="", minimum=0.8),
    ]


_LUA = """\
local number = 0
wrk.method = "{method}"
{body}
{headers}
function request()
  number = number + 1
  return wrk.format(nil, ("{target}"):gsub("#", number .. "x" .. {salt}), nil, wrk.body)
end
"""


def _script(case: Case, path: Path, salt: int, *, influxd: bool) -> Path:
    headers = dict(case.headers)
    login = case.influxd_login if influxd and case.influxd_login else case.login
    if login:
        name, _, value = login.partition(": ")
        headers[name] = value
    lines = [f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items()]
    body = f'wrk.body = "{case.body}"' if case.body else ""
    path.write_text(
        _LUA.format(
            method=case.method, body=body, headers="\n".join(lines), target=case.target, salt=salt
        )
    )
    return path


def _measure(server: Server, case: Case, seconds: int, connections: int, script: Path) -> str:
    return wrk(server.port, seconds, connections, refused=case.refused, script=script)


def main() -> int:
    """Prints a row for each kind of request; returns 1 if a ratio is below its minimum."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--seconds", type=int, default=1)
    arguments.add_argument("--connections", default="1,16,64")
    arguments.add_argument("--rows", default="", help="only rows with this text in the title")
    chosen = arguments.parse_args()
    for program in ("influxd", "wrk"):
        if shutil.which(program) is None:
            sys.exit(f"{program} is not installed (Debian: influxdb, wrk)")
    connections = [int(number) for number in chosen.connections.split(",")]
    below = 0
    with tempfile.TemporaryDirectory() as name:
        file, contest = Path(name) / "request.lua", Contest(Path(name), Population(_USERS))
        with contest.running(INFLUXD, ONE_WORKER) as servers:
            for server in servers.values():
                warm_password_cache(server, [ROOT, "u0"])
            head = " | ".join(f"{number} connections" for number in connections)
            print(f"| request | {head} | p99 |\n|---{'|---' * (len(connections) + 1)}|")
            for case in (one for one in _cases() if chosen.rows in one.title):
                cells, tails, salt = [], [], 0
                for number in connections:
                    rates: dict[str, list[float]] = {each: [] for each in servers}
                    late: dict[str, list[float]] = {each: [] for each in servers}
                    for _ in range(chosen.rounds):
                        for each, server in servers.items():
                            salt += 1
                            script = _script(case, file, salt, influxd=each == INFLUXD)
                            output = _measure(server, case, chosen.seconds, number, script)
                            rates[each].append(rate(output))
                            late[each].append(latency(output, 99))
                    ratio = statistics.median(rates[ONE_WORKER]) / statistics.median(rates[INFLUXD])
                    cells.append(f"**{ratio:.2f}**" if ratio >= case.minimum else f"{ratio:.2f}")
                    below += ratio < case.minimum
                    tails.append(
                        statistics.median(late[ONE_WORKER]) / statistics.median(late[INFLUXD])
                    )
                tail = " / ".join(f"{each:.2f}" for each in tails)
                print(f"| {case.title} | {' | '.join(cells)} | {tail} |", flush=True)
    print(f"\n{below} ratios are below their minimum", flush=True)
    return int(below > 0)


if __name__ == "__main__":
    sys.exit(main())
