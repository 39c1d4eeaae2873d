"""Compares the shell with recorded runs of influx: output, exit status, state of the server.

Each file in `shell` is a theme, and each case is one run of the program, not interactive. `compare`
marks outputs without a fixed order, or with only the first line compared. Cases marked `mended`
have help texts of Headgate's own. Cases marked `needs_influxd` test data, retention policies, the
socket of influxd, or its refusals without an administrator. All others run against Headgate's
server, too.
"""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from headgate_engine import UNRESTRICTED, Engine, SqliteStore
from headgate_grammar import quote_identifier
from support.influxd import Influxd, needs_influxd
from support.local_server import LocalServer
from support.places import RECORDED
from support.programs_of_ours import run_headgate
from support.servers import ROOT, Server
from support.waiting import free_port

FOLDER = RECORDED / "shell"
Case = dict[str, Any]
CASES: list[tuple[str, Case]] = [
    (f"{path.stem}-{case['name']}", case)
    for path in sorted(FOLDER.glob("*.json"))
    for case in json.loads(path.read_text())["cases"]
]
ALL = [pytest.param(case, id=name) for name, case in CASES]
OURS = [pytest.param(case, id=name) for name, case in CASES if not case.get("needs_influxd")]


class SharedInfluxd:
    """An influxd shared by the cases that start with the administrator ROOT only."""

    def __init__(self, new_folder: Callable[[str], Path]) -> None:
        self._new_folder = new_folder
        self._shared: Influxd | None = None

    @contextmanager
    def empty(self, case: Case) -> Iterator[Influxd]:
        """Yields an influxd without databases and users, except ROOT if *case* starts with it."""
        if case.get("auth", True) and case.get("setup_auth") == list(ROOT):
            yield self._emptied()
            return
        with Influxd(self._new_folder("influxd"), auth=case.get("auth", True)) as server:
            yield server

    def _emptied(self) -> Influxd:
        if self._shared is None or not emptied_by_root(self._shared):
            self.end()
            self._shared = Influxd(self._new_folder("influxd")).__enter__()
        return self._shared

    def end(self) -> None:
        if self._shared is not None:
            self._shared.__exit__()


def emptied_by_root(server: Server) -> bool:
    """Drops all but ROOT. Returns False if ROOT is not an administrator any more."""
    users = server.query("SHOW USERS")
    if users.status != 200 or [ROOT[0], True] not in users.rows():
        return False
    drops = [("USER", name) for name, _ in users.rows() if name != ROOT[0]]
    drops += [("DATABASE", name) for (name,) in server.query("SHOW DATABASES").rows()]
    for kind, name in drops:
        assert not server.query(f"DROP {kind} {quote_identifier(name)}").error
    return True


@pytest.fixture(scope="module")
def influxd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedInfluxd]:
    shared = SharedInfluxd(tmp_path_factory.mktemp)
    yield shared
    shared.end()


@needs_influxd
@pytest.mark.parametrize("case", ALL)
def test_the_shell_does_as_influx_did(case: Case, influxd: SharedInfluxd, tmp_path: Path) -> None:
    with influxd.empty(case) as server:
        play(case, server, tmp_path, socket=server.socket)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[bool], Server]]:
    """Two servers, with and without authentication, emptied before every case."""
    started: dict[bool, Server] = {}

    def emptied(auth: bool) -> Server:
        if auth not in started:
            store = tmp_path_factory.mktemp("store") / "users.db"
            # Many logins fail in these cases; without these settings they would be delayed.
            free = {"HEADGATE_AUTH_FREE_FAILURES": "9999"}
            free |= {"HEADGATE_AUTH_FREE_FAILURES_ADDRESS": "9999"}
            free |= {"HEADGATE_HTTP_AUTH_ENABLED": str(auth).lower()}
            free |= {"HEADGATE_AUTH_KEEP_LAST_ADMIN": "false"}
            started[auth] = LocalServer(store, environment=free).start()
        empty(started[auth].store)
        return started[auth]

    yield emptied
    for server in started.values():
        server.stop()


@pytest.mark.parametrize("case", OURS)
def test_it_does_the_same_with_our_server(
    case: Case, servers: Callable[[bool], Server], tmp_path: Path
) -> None:
    play(case, servers(case.get("auth", True)), tmp_path, socket=tmp_path / "none")


def test_no_case_is_missing() -> None:
    assert (len(ALL), len(OURS)) == (241, 232)
    assert sum(case.get("mended", False) for _, case in CASES) == 11


def empty(path: Path) -> None:
    """Drops all databases and users of the store, while the server runs."""
    with closing(SqliteStore(path, create=False)) as store:
        engine = Engine(store, keep_last_admin=False)
        for question, drop in (("SHOW DATABASES", "DATABASE"), ("SHOW USERS", "USER")):
            [result] = engine.query(question, UNRESTRICTED)
            for row in result.series[0].values:
                [dropped] = engine.query(
                    f"DROP {drop} {quote_identifier(str(row[0]))}", UNRESTRICTED
                )
                assert not dropped.error


def play(case: Case, server: Server, folder: Path, *, socket: Path) -> None:
    login = tuple(case["setup_auth"]) if case.get("setup_auth") else None
    for statement in case.get("setup_statements", ()):
        answer = server.query(statement, login)
        assert answer.status == 200 and not answer.error, (statement, answer.body)
    home = folder / "home"
    home.mkdir()
    for name, text in case.get("files", {}).items():
        (home / name).write_text(text)
    names = {"socket": str(socket), "tmp": str(home), "host": "127.0.0.1"}
    names |= {"port": str(server.port), "dead_port": str(free_port())}
    done = run(case, names)
    found = {"stdout": placed(done.stdout, names), "stderr": placed(done.stderr, names)}
    how = case.get("compare", {})
    if case.get("mended"):
        assert found.pop("stdout")
    for stream, text in found.items():
        # Messages of Go's library differ between versions after the first line.
        kind = how.get(stream, "exact")
        assert compared(text, kind) == compared(case[stream], kind), stream
    assert done.returncode == case["exit_code"]
    check = tuple(case["check_auth"]) if case.get("check_auth") else login
    for statement, expected in zip(
        case.get("check", ()), case.get("check_results", ()), strict=True
    ):
        assert state(server.query(statement, check).json) == expected, statement


def run(case: Case, names: dict[str, str]) -> subprocess.CompletedProcess[str]:
    def filled(text: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda found: names.get(found[1], found[0]), text)

    clean = {
        name: text
        for name, text in os.environ.items()
        if not name.startswith(("INFLUX_", "HEADGATE_")) and not name.lower().endswith("_proxy")
    }
    clean |= {"HOME": names["tmp"], "LC_ALL": "C.UTF-8", "TERM": "dumb"}
    where = ("-host", names["host"], "-port", names["port"])
    return run_headgate(
        *("shell", *where, *map(filled, case.get("argv", ()))),
        stdin=case.get("stdin", ""),
        environment=clean | {name: filled(text) for name, text in case.get("env", {}).items()},
    )


def placed(text: str, names: dict[str, str]) -> str:
    """Replaces the parts of *text* that differ between runs by names."""
    for name in ("socket", "tmp"):
        text = text.replace(names[name], f"{{{name}}}")
    for name in ("dead_port", "port"):
        text = text.replace(f"{names['host']}:{names[name]}", f"{{host}}:{{{name}}}")
        text = text.replace(f"localhost:{names[name]}", f"localhost:{{{name}}}")
    text = re.sub(r"(InfluxDB shell version: |\bversion )v?\d\S*", r"\1{version}", text)
    if re.search(r"(?m)^Setting ", text):
        # The recording is of 1.6, which has the label Host instead of URL.
        text = re.sub(r"(?m)^URL +(?:https?://)?(\S+)$", rf"Host{' ' * 14}\1", text)
    return text


def compared(text: str, kind: str) -> object:
    match kind:
        case "ignore":
            return None
        case "sorted":
            return sorted(text.split("\n"))
        case "prefix" | "first_line":
            return text.split("\n")[0]
        case _:
            return text


def state(answer: dict[str, Any]) -> list[Any] | dict[str, Any]:
    """Returns the compared parts of an answer: columns, sorted rows, errors."""
    if "error" in answer:
        return {"error": answer["error"]}
    return [
        {"error": result["error"]}
        if "error" in result
        else [
            {"columns": series["columns"], "values": sorted(series.get("values", ()), key=repr)}
            for series in result.get("series", ())
        ]
        for result in answer["results"]
    ]
