"""Changes in an upstream store: the audit records each before it is sent, without secrets."""

import json
import socket
from collections import defaultdict
from contextlib import closing

import apsw
import pytest

from headgate_engine import FORWARDED
from support.audit_records import audit_records
from support.gateway_fixtures import ANN, BOB
from support.raw_upstream import Answering
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
from support.subscriptions import PASSWORD, SUBSCRIPTIONS, URL
from support.waiting import poll_until

HERE = "127.0.0.1"
HIDDEN = "[REDACTED]"
TEXT, OTHER = "SELECT v INTO a..copy FROM a..m", "DROP MEASUREMENT m"


@pytest.fixture(autouse=True)
def short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shortens the time that SQLite waits for a locked user store."""
    monkeypatch.setattr("headgate_engine.stores.sqlite.connection._BUSY_MILLISECONDS", 300)


def changes(server: Server) -> list[tuple[str, str, str]]:
    """Returns author, statement and outcome of audit records without a revision.

    These are forwarded changes and rejected requests, in the order of the audit.
    """
    return [
        (record.actor, record.statement, record.outcome)
        for record in audit_records(server)
        if not record.revision
    ]


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


@pytest.mark.slow
def test_a_change_is_recorded_before_it_is_sent(gateway: Server, script: Script) -> None:
    expected: list[tuple[str, str, str]] = []
    before: list[list[tuple[str, str, str]]] = []

    def answer(line: socket.socket, request: bytes) -> None:
        before.append(changes(gateway))
        sends(EMPTY)(line, request)

    script.answers = defaultdict(lambda: answer)
    for user, text, recorded in CHANGES:
        got = fetch(gateway, text, LOGINS[user], db="a")
        assert got.status == 200 and got.errors == [""], got.body
        expected.append((user, recorded, FORWARDED))
        assert before.pop() == expected
        assert before == []
    found = [record for record in audit_records(gateway) if not record.revision]
    assert {(record.address, record.count) for record in found} == {(HERE, 1)}
    assert gateway.stop() == 0
    assert changes(gateway) == expected


def test_each_change_of_a_query_is_recorded_as_it_is_sent(gateway: Server, script: Script) -> None:
    text = f"{TEXT}; SHOW MEASUREMENTS; {OTHER}; {TEXT}"
    script.answers[OTHER] = closes
    for more in (PLAIN, CHUNKED):
        got = fetch(gateway, text, ROOT, db="a", **more)
        assert got.status == 200 and b"not executed" in got.body
    sent = [record[1:] for record in changes(gateway) if record[2] == FORWARDED]
    assert sent == [(TEXT, FORWARDED), (OTHER, FORWARDED)] * 2


def test_an_asynchronous_change_is_recorded(gateway: Server, script: Script) -> None:
    assert fetch(gateway, TEXT, ANN, db="a", **ASYNC).status == 204
    poll_until(lambda: TEXT in script.asked, "it was not sent")
    assert changes(gateway) == [("ann", TEXT, FORWARDED)]


@pytest.mark.slow
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
    gateway: Server, script: Script, failing: Answering, error: str
) -> None:
    expected = []
    for place in (0, 1):
        for text in (TEXT, OTHER, "DELETE FROM m"):
            script.answers[text] = failing
            fetch(gateway, "SHOW USERS; " * place + text, ROOT, db="a")
            expected.append(text)
    assert gateway.stop() == 0
    found = changes(gateway)
    assert [record[1] for record in found if record[2] == FORWARDED] == expected
    failed = [record for record in audit_records(gateway) if record.outcome == error]
    assert {record.statement for record in failed} == set(expected)
    assert {record.actor for record in failed} == {"root"}
    assert sum(record.count for record in failed) == len(expected)


@pytest.mark.slow
def test_reads_and_writes_have_no_record(gateway: Server) -> None:
    for text in READS:
        assert fetch(gateway, text, ANN, db="a").status == 200
        assert fetch(gateway, f"{text}; {text}", ANN, db="a", chunked="true").status == 200
    assert gateway.request("POST", "/write?db=a", b"m v=1", basic=ANN).status == 204
    assert gateway.stop() == 0
    assert changes(gateway) == []


def test_what_is_denied_is_not_recorded_as_sent(gateway: Server, script: Script) -> None:
    for text in ("DELETE FROM m", TEXT, "DROP MEASUREMENT m", "KILL QUERY 7"):
        assert fetch(gateway, text, BOB, db="a").status == 403
    assert script.asked == []
    assert gateway.stop() == 0
    assert FORWARDED not in [outcome for _, _, outcome in changes(gateway)]


@pytest.mark.parametrize("place", [0, 1])
def test_a_change_that_cannot_be_recorded_is_not_sent(
    gateway: Server, script: Script, place: int
) -> None:
    # apsw is the server's SQLite library. A second SQLite library in this process would ignore
    # its locks.
    with closing(apsw.Connection(str(gateway.store))) as store:
        store.execute("BEGIN IMMEDIATE")  # blocks other writers
        got = fetch(gateway, "SHOW MEASUREMENTS; " * place + TEXT, ANN, db="a")
        store.execute("ROLLBACK")
    if place:
        assert got.status == 200 and got.errors[0] == "" and got.errors[1]
    else:
        assert got.status == 503
    assert TEXT not in script.asked
    assert fetch(gateway, TEXT, ANN, db="a").status == 200
    assert TEXT in script.asked


STATEMENTS: tuple[tuple[str, dict[str, object]], ...] = (
    *SUBSCRIPTIONS,
    (f"SELECT v FROM m WHERE h = '{URL}'", {}),
    ("SELECT v FROM m WHERE h = $url", {"url": URL}),
    (f"SELECT v INTO copy FROM m WHERE h = 'see {URL}?token={PASSWORD}'", {}),
    (f"DELETE FROM m WHERE h = '{URL}'", {}),
    (f'SHOW TAG VALUES FROM "{URL}" WITH KEY = h', {}),
    (f'DROP MEASUREMENT "{URL}"', {}),
)


@pytest.mark.slow
@pytest.mark.parametrize("login", [ROOT, BOB], ids=["allowed", "denied"])
@pytest.mark.parametrize("failing", [False, True], ids=["succeeds", "fails"])
def test_logins_in_urls_reach_the_store_and_nothing_else(
    gateway: Server, script: Script, login: tuple[str, str], failing: bool
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
            got = fetch(gateway, prefix + text, login, db="a", params=params)
            if not failing or login is BOB:
                assert PASSWORD.encode() not in got.body
            assert got.status == (403 if login is BOB else 200), got.body
    got = fetch(gateway, f"CREATE SUBSCRIPTION s ON DESTINATIONS ALL '{URL}'", login)
    assert got.status == 400 and PASSWORD.encode() not in got.body
    assert any(PASSWORD.encode() in request for request in sent) is (login is ROOT)
    assert gateway.stop() == 0
    assert PASSWORD not in gateway.log()
    for record in audit_records(gateway):
        assert PASSWORD not in repr(record)
    for path in gateway.store.parent.glob(gateway.store.name + "*"):
        assert PASSWORD.encode() not in path.read_bytes()
