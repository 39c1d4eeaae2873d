"""What a user changes in a store behind Headgate: recorded before it is sent, without secrets."""

import json
import socket
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from headgate_engine import FORWARDED, AuditRecord, SqliteStore
from support.gateway_fixtures import ANN, BOB, TWO, configured, upstream
from support.raw_upstream import Answering, raw_upstream
from support.scripted_upstream import (
    ASYNC,
    CHUNKED,
    EMPTY,
    PLAIN,
    Script,
    closes,
    encoded,
    fetch,
    sends,
    status,
)
from support.servers import ROOT, Server
from support.waiting import poll_until

HERE = "127.0.0.1"
PASSWORD = "Sub-Secret-77"
URL = f"http://svc:{PASSWORD}@127.0.0.1:9/write"
HIDDEN = "[REDACTED]"
TEXT, OTHER = "SELECT v INTO a..copy FROM a..m", "DROP MEASUREMENT m"


@pytest.fixture(autouse=True)
def short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that another connection keeps locked is given up soon."""
    monkeypatch.setattr("headgate_engine.stores.sqlite.connection._BUSY_MILLISECONDS", 300)


def records(server: Server) -> list[AuditRecord]:
    store = SqliteStore(server.store, create=False)
    try:
        return list(store.audit(limit=100_000))
    finally:
        store.close()


def changes(server: Server) -> list[tuple[str, str, str]]:
    """Author, statement and outcome of what has no revision, in its order."""
    return [
        (record.actor, record.statement, record.outcome)
        for record in records(server)
        if not record.revision
    ]


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def server(serve: Callable[..., Server], tmp_path: Path, script: Script) -> Iterator[Server]:
    with raw_upstream(script) as store:
        table = upstream("influxdb1", urls=[store.url])
        server = configured(serve, tmp_path, table).bootstrap(TWO)
        script.asked.clear()
        yield server
        server.stop()


CHANGES = (
    ("ann", "SELECT v INTO copy FROM m", "SELECT v INTO copy FROM m"),
    ("ann", "DELETE FROM m", "DELETE FROM m"),
    ("ann", "DELETE WHERE time < 5", "DELETE WHERE time < 5"),
    ("ann", "DROP SERIES FROM m WHERE h = 'x'", "DROP SERIES FROM m WHERE h = 'x'"),
    ("ann", "DROP CONTINUOUS QUERY q ON a", "DROP CONTINUOUS QUERY q ON a"),
    ("root", "DROP MEASUREMENT m", "DROP MEASUREMENT m"),
    ("root", "DROP SHARD 3", "DROP SHARD 3"),
    ("root", "KILL QUERY 7", "KILL QUERY 7"),
    (
        "root",
        "CREATE RETENTION POLICY p ON a DURATION 1h REPLICATION 1",
        "CREATE RETENTION POLICY p ON a DURATION 1h REPLICATION 1",
    ),
    (
        "root",
        "ALTER RETENTION POLICY p ON a DURATION 2h",
        "ALTER RETENTION POLICY p ON a DURATION 2h",
    ),
    ("root", "DROP RETENTION POLICY p ON a", "DROP RETENTION POLICY p ON a"),
    (
        "ann",
        "CREATE CONTINUOUS QUERY q ON a BEGIN SELECT mean(v) INTO w FROM m GROUP BY time(1h) END",
        "CREATE CONTINUOUS QUERY q ON a BEGIN SELECT mean(v) INTO w FROM m GROUP BY time(1h) END",
    ),
    (
        "root",
        f"CREATE SUBSCRIPTION s ON a.autogen DESTINATIONS ALL '{URL}', 'udp://u:{PASSWORD}@h:1'",
        f"CREATE SUBSCRIPTION s ON a.autogen DESTINATIONS ALL 'http://{HIDDEN}@127.0.0.1:9/write',"
        f" 'udp://{HIDDEN}@h:1'",
    ),
    ("root", "DROP SUBSCRIPTION s ON a.autogen", "DROP SUBSCRIPTION s ON a.autogen"),
)
LOGINS = {"ann": ANN, "bob": BOB, "root": ROOT}
READS = (
    "SELECT v FROM m",
    "SHOW MEASUREMENTS",
    "SHOW SERIES",
    "EXPLAIN SELECT v FROM m",
    "SHOW TAG VALUES WITH KEY = h",
    "SHOW RETENTION POLICIES",
)


def test_a_change_is_recorded_before_it_is_sent(server: Server, script: Script) -> None:
    expected: list[tuple[str, str, str]] = []
    before: list[list[tuple[str, str, str]]] = []

    def answer(line: socket.socket, request: bytes) -> None:
        before.append(changes(server))
        sends(EMPTY)(line, request)

    script.answers = defaultdict(lambda: answer)
    for user, text, recorded in CHANGES:
        got = fetch(server, text, LOGINS[user], db="a")
        assert got.status == 200 and got.errors == [""], got.body
        expected.append((user, recorded, FORWARDED))
        assert before.pop() == expected
        assert before == []
    found = [record for record in records(server) if not record.revision]
    assert {(record.address, record.count) for record in found} == {(HERE, 1)}
    assert server.stop() == 0
    assert changes(server) == expected


def test_each_change_of_a_query_is_recorded_as_it_is_sent(server: Server, script: Script) -> None:
    text = f"{TEXT}; SHOW MEASUREMENTS; {OTHER}; {TEXT}"
    script.answers[OTHER] = closes
    for more in (PLAIN, CHUNKED):
        got = fetch(server, text, ROOT, db="a", **more)
        assert got.status == 200 and b"not executed" in got.body
    sent = [record[1:] for record in changes(server) if record[2] == FORWARDED]
    assert sent == [(TEXT, FORWARDED), (OTHER, FORWARDED)] * 2


def test_an_asynchronous_change_is_recorded(server: Server, script: Script) -> None:
    assert fetch(server, TEXT, ANN, db="a", **ASYNC).status == 204
    poll_until(lambda: TEXT in script.asked, "it was not sent")
    assert changes(server) == [("ann", TEXT, FORWARDED)]


@pytest.mark.parametrize(
    ("failing", "error"),
    [
        (sends(b'{"results":[{"statement_id":0,"error":"it hurts"}]}\n'), "it hurts"),
        (status(400, "it hurts"), "it hurts"),
        (closes, "the upstream store broke off, or gave no answer that can be understood"),
    ],
    ids=["result", "refusal", "nothing"],
)
def test_a_change_that_fails_has_a_second_record(
    server: Server, script: Script, failing: Answering, error: str
) -> None:
    expected = []
    for place in (0, 1):
        for text in (TEXT, OTHER, "DELETE FROM m"):
            script.answers[text] = failing
            fetch(server, "SHOW USERS; " * place + text, ROOT, db="a")
            expected.append(text)
    assert server.stop() == 0
    found = changes(server)
    assert [record[1] for record in found if record[2] == FORWARDED] == expected
    failed = [record for record in records(server) if record.outcome == error]
    assert {record.statement for record in failed} == set(expected)
    assert {record.actor for record in failed} == {"root"}
    assert sum(record.count for record in failed) == len(expected)


def test_reads_and_writes_have_no_record(server: Server) -> None:
    for text in READS:
        assert fetch(server, text, ANN, db="a").status == 200
        assert fetch(server, f"{text}; {text}", ANN, db="a", chunked="true").status == 200
    assert server.request("POST", "/write?db=a", b"m v=1", basic=ANN).status == 204
    assert server.stop() == 0
    assert changes(server) == []


def test_what_is_denied_is_not_recorded_as_sent(server: Server, script: Script) -> None:
    for text in ("DELETE FROM m", TEXT, "DROP MEASUREMENT m", "KILL QUERY 7"):
        assert fetch(server, text, BOB, db="a").status == 403
    assert script.asked == []
    assert server.stop() == 0
    assert FORWARDED not in [outcome for _, _, outcome in changes(server)]


@pytest.mark.parametrize("place", [0, 1])
def test_a_change_that_cannot_be_recorded_is_not_sent(
    server: Server, script: Script, place: int
) -> None:
    # Of the server's own SQLite: in one process another one's locks are not seen.
    with closing(apsw.Connection(str(server.store))) as store:
        store.execute("BEGIN IMMEDIATE")  # nothing can be written beside it
        got = fetch(server, "SHOW MEASUREMENTS; " * place + TEXT, ANN, db="a")
        store.execute("ROLLBACK")
    if place:
        assert got.status == 200 and got.errors[0] == "" and got.errors[1]
    else:
        assert got.status == 503
    assert TEXT not in script.asked
    assert fetch(server, TEXT, ANN, db="a").status == 200
    assert TEXT in script.asked


STATEMENTS: tuple[tuple[str, dict[str, object]], ...] = (
    (f"CREATE SUBSCRIPTION s ON a.autogen DESTINATIONS ALL '{URL}'", {}),
    ("CREATE SUBSCRIPTION s ON a.autogen DESTINATIONS ALL $url", {"url": URL}),
    ("CREATE SUBSCRIPTION s ON a.autogen DESTINATIONS ANY $a, $b",
     {"a": f"https://{PASSWORD}@h:1?p={PASSWORD}", "b": f"udp://u:p@{PASSWORD}@h:2"}),
    (f"SELECT v FROM m WHERE h = '{URL}'", {}),
    ("SELECT v FROM m WHERE h = $url", {"url": URL}),
    (f"SELECT v INTO copy FROM m WHERE h = 'see {URL}?token={PASSWORD}'", {}),
    (f"DELETE FROM m WHERE h = '{URL}'", {}),
    (f'SHOW TAG VALUES FROM "{URL}" WITH KEY = h', {}),
    (f'DROP MEASUREMENT "{URL}"', {}),
)  # fmt: skip


@pytest.mark.parametrize("login", [ROOT, BOB], ids=["allowed", "denied"])
@pytest.mark.parametrize("failing", [False, True], ids=["succeeds", "fails"])
def test_logins_in_urls_reach_the_store_and_nothing_else(
    server: Server, script: Script, login: tuple[str, str], failing: bool
) -> None:
    sent: list[bytes] = []

    def answer(line: socket.socket, request: bytes) -> None:
        sent.append(request)
        error = encoded("json", {"error": f"no: {URL}"})
        sends(error if failing else EMPTY)(line, request)

    script.answers = defaultdict(lambda: answer)
    for text, parameters in STATEMENTS:
        for prefix in ("", "SHOW MEASUREMENTS ON b; "):
            params = json.dumps(parameters)
            got = fetch(server, prefix + text, login, db="a", params=params)
            if not failing or login is BOB:
                assert PASSWORD.encode() not in got.body
            assert got.status == (403 if login is BOB else 200), got.body
    got = fetch(server, f"CREATE SUBSCRIPTION s ON DESTINATIONS ALL '{URL}'", login)
    assert got.status == 400 and PASSWORD.encode() not in got.body
    assert any(PASSWORD.encode() in request for request in sent) is (login is ROOT)
    assert server.stop() == 0
    assert PASSWORD not in server.log()
    for record in records(server):
        assert PASSWORD not in repr(record)
    for path in server.store.parent.glob(server.store.name + "*"):
        assert PASSWORD.encode() not in path.read_bytes()
