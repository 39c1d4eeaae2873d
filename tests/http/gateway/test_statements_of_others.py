"""Filters SHOW QUERIES and SHOW CONTINUOUS QUERIES: rows without the privilege are left out."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from headgate_engine import Result, Series, User
from headgate_grammar import (
    ParseCache,
    Privilege,
    ShowContinuousQueries,
    ShowQueries,
    Statement,
)
from headgate_grammar.parsing.limits import ParseLimits
from headgate_server.gateway.result_filter import filter_readable
from support.gateway_fixtures import ANN, BOB, TWO, configured, upstream
from support.raw_upstream import raw_upstream
from support.scripted_upstream import (
    CHUNKED,
    EMPTY,
    PLAIN,
    Script,
    encoded,
    fetch,
    parameter,
    sends,
)
from support.servers import ROOT, Server

READER = User("1", "ann", "", False, {"shop": Privilege.READ})
OWNER = User("2", "cy", "", False, {"shop": Privilege.ALL})
BOTH = User("3", "dot", "", False, {"shop": Privilege.ALL, "bank": Privilege.READ})
NONE = User("4", "eve", "", False, {})
# Text and database of a running query, and the users that see the query.
RUNNING: tuple[tuple[str, str, str], ...] = (
    ("SELECT v FROM m", "shop", "ann cy dot"),
    ("SELECT v FROM m", "bank", "dot"),
    ("SELECT v FROM m", "", ""),
    ("SELECT v FROM bank..m", "shop", "dot"),
    ("SELECT v FROM shop..m", "bank", "ann cy dot"),
    ("SELECT v FROM shop..m", "", "ann cy dot"),
    ("SELECT v FROM (SELECT v FROM bank..m WHERE s != 'x'), shop..m", "shop", "dot"),
    ("SELECT v FROM m, bank.autogen./x/", "shop", "dot"),
    ("SELECT v INTO shop..c FROM shop..m", "shop", "cy dot"),
    ("SELECT v INTO bank..c FROM shop..m", "shop", ""),
    ("DELETE FROM m WHERE s = 'x'", "shop", "cy dot"),
    ("SHOW MEASUREMENTS ON bank", "shop", "dot"),
    ("SHOW TAG VALUES FROM bank..m WITH KEY = h", "shop", "dot"),
    ("SHOW QUERIES", "shop", "ann cy dot"),
    ("SHOW QUERIES", "bank", "dot"),
    ("EXPLAIN SELECT v FROM bank..m", "shop", "dot"),
    ("DROP MEASUREMENT m", "shop", ""),
    ("CREATE SUBSCRIPTION s ON shop.autogen DESTINATIONS ALL 'http://u:p@h'", "shop", ""),
    ("KILL QUERY 3", "shop", ""),
    ("SELECT v FROM shop..m; SELECT v FROM bank..m", "shop", "dot"),
    ("SELECT nonsense FROM", "shop", ""),
    ("not InfluxQL", "shop", ""),
    ("", "shop", ""),
    ("SELECT v FROM m -- ' bank", "shop", "ann cy dot"),
    ("SELECT " + "a, " * 30 + "b FROM m", "shop", ""),  # more than 60 tokens
)
USERS = (READER, OWNER, BOTH, NONE)
PARSE = ParseCache(limits=ParseLimits(tokens=60))


def shown(statement: Statement, series: Sequence[Series], user: User) -> list[list[Any]]:
    found = filter_readable(Result(statement, tuple(series)), user, PARSE)
    return [list(row) for one in found.series for row in one.values]


@pytest.mark.parametrize(("text", "database", "users"), RUNNING)
def test_a_running_query_is_shown_to_those_that_may_execute_it(
    text: str, database: str, users: str
) -> None:
    columns = ("qid", "query", "database", "duration", "status")
    row: list[Any] = [7, text, database, "1s", "running"]
    series = Series("", columns, [row], {})
    for user in USERS:
        expected = [row] if user.name in users.split() else []
        assert shown(ShowQueries(), [series], user) == expected, user.name


def test_what_lacks_a_text_is_not_shown() -> None:
    row: list[Any] = [7, "shop", "1s"]
    for columns in (("qid", "database", "duration"), ("qid", "query", "duration")):
        assert shown(ShowQueries(), [Series("", columns, [row], {})], BOTH) == []


def continuous(source: str, target: str, on: str = "shop") -> str:
    select = f"SELECT mean(v) INTO {target} FROM {source} GROUP BY time(1h)"
    return f"CREATE CONTINUOUS QUERY q ON {on} BEGIN {select} END"


CONTINUOUS: tuple[tuple[str, str, str], ...] = (
    (continuous("m", "w"), "shop", "ann cy dot"),
    (continuous("shop.autogen.m", "shop.autogen.w"), "shop", "ann cy dot"),
    (continuous("bank.autogen.m", "shop.autogen.w"), "shop", "dot"),
    (continuous("shop.autogen.m", "bank.autogen.w"), "shop", "dot"),
    (continuous("(SELECT v FROM bank.autogen.m)", "w"), "shop", "dot"),
    (continuous("m", "w", "bank"), "bank", "dot"),
    ("CREATE CONTINUOUS QUERY nonsense", "shop", ""),
)


@pytest.mark.parametrize(("text", "on", "users"), CONTINUOUS)
def test_a_continuous_query_is_shown_to_those_that_may_read_what_it_names(
    text: str, on: str, users: str
) -> None:
    series = [Series(on, ("name", "query"), [["q", text]], {}), Series("x", ("name", "query"), [])]
    for user in USERS:
        expected = [["q", text]] if user.name in users.split() else []
        assert shown(ShowContinuousQueries(), series, user) == expected, user.name
        found = filter_readable(Result(ShowContinuousQueries(), tuple(series)), user, PARSE)
        assert {one.name for one in found.series} <= set(user.grants)


SECRET = "acct-4711"
QUERIES = {
    "series": [
        {
            "columns": ["qid", "query", "database", "duration", "status"],
            "values": [
                [1, f"SELECT v FROM b..m WHERE s != '{SECRET}'", "a", "1m", "running"],
                [2, "SELECT v FROM a..m", "b", "1m", "running"],
                [3, "SELECT v FROM m", "a", "1m", "running"],
                [4, "SHOW QUERIES", "a", "1us", "running"],
            ],
        }
    ]
}


@pytest.mark.parametrize("name", ["json", "csv", "msgpack"])
@pytest.mark.parametrize("more", [PLAIN, CHUNKED], ids=["whole", "chunked"])
def test_the_text_decides_not_the_database_that_a_client_named(
    gateway: Server, script: Script, name: str, more: dict[str, Any]
) -> None:
    script.answers["SHOW QUERIES"] = sends(encoded("json", QUERIES))
    for text in ("SHOW QUERIES", "SHOW QUERIES; SHOW QUERIES", "SHOW DATABASES; SHOW QUERIES"):
        got = fetch(gateway, text, ANN, name, db="a", **more)
        assert got.status == 200 and got.whole
        assert SECRET.encode() not in got.body
        assert b"SELECT v FROM a..m" in got.body and b"SELECT v FROM m" in got.body
    got = fetch(gateway, "SHOW QUERIES", BOB, db="b")
    assert [row[0] for row in got.results[0]["series"][0]["values"]] == [1]
    assert SECRET.encode() in fetch(gateway, "SHOW QUERIES", ROOT, db="a").body


@pytest.mark.parametrize(
    ("login", "database", "sent"),
    [(ANN, "a", "a"), (BOB, "a", ""), (BOB, "nothing", ""), (BOB, "b", "b"), (ROOT, "b", "b")],
)
def test_a_database_without_a_right_is_not_forwarded(
    serve: Callable[..., Server],
    tmp_path: Path,
    login: tuple[str, str],
    database: str,
    sent: str,
) -> None:
    found: list[tuple[str, str]] = []

    def answer(line: Any, request: bytes) -> None:
        found.append((parameter(request, "db"), parameter(request, "rp")))
        sends(EMPTY)(line, request)

    own = "b" if login is BOB else "a"
    with raw_upstream(Script()) as store:
        table = upstream("influxdb1", urls=[store.url])
        server = configured(serve, tmp_path, table).bootstrap(TWO)
        store.answer = answer
        for text in (f"SELECT v FROM {own}..m", f"SHOW MEASUREMENTS ON {own}; SHOW DATABASES"):
            found.clear()
            for more in (PLAIN, CHUNKED):
                got = fetch(server, text, login, db=database, rp="autogen", **more)
                assert got.status == 200, got.body
            assert {one for one in found if login is not ROOT or any(one)} == {
                (sent, "autogen" if sent else "")
            }
