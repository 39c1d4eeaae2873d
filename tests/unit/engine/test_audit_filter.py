"""The filter of audit records: each member alone, and what a record must not be taken for."""

import pytest

from headgate_engine import FORWARDED, AuditFilter, AuditRecord, audit_kind


def record(statement: str, outcome: str = "ok", actor: str = "root") -> AuditRecord:
    return AuditRecord(1, 1, "2026-11-30T12:00:00.000000+00:00", actor, "", statement, outcome)


GRANT = record('GRANT READ ON telegraf TO todd -- key 7 "eu-1"')
CREATE = record("CREATE USER todd WITH PASSWORD [REDACTED]")
DATABASE = record("CREATE DATABASE telegraf WITH DURATION 0s REPLICATION 1")
QUOTED = record('REVOKE ALL PRIVILEGES ON "my db" FROM "read"')
LOGIN = record("-- login (password)", "authorization failed", "todd")
KEY = record("-- key 3 eu of todd created")
DENIED = record("SELECT * FROM db1..cpu WHERE host = 'todd'", "requires READ on db1")
FORWARD = record("DROP SERIES FROM cpu", FORWARDED)


@pytest.mark.parametrize(
    ("wanted", "accepted"),
    [
        (AuditFilter(), [GRANT, CREATE, DATABASE, QUOTED, LOGIN, KEY, FORWARD]),
        (AuditFilter(user="todd"), [LOGIN]),
        (AuditFilter(target="todd"), [GRANT, CREATE, KEY]),
        (AuditFilter(target="tod"), []),
        (AuditFilter(target="read"), [QUOTED]),
        (AuditFilter(target="eu"), [KEY]),
        (AuditFilter(target="telegraf"), []),
        (AuditFilter(database="telegraf"), [GRANT, DATABASE]),
        (AuditFilter(database="my db"), [QUOTED]),
        (AuditFilter(database="todd"), []),
        (AuditFilter(kind="grant"), [GRANT]),
        (AuditFilter(kind="CREATE"), [CREATE, DATABASE]),
        (AuditFilter(kind="create user"), [CREATE]),
        (AuditFilter(kind="CREATE US"), []),
        (AuditFilter(kind="login"), [LOGIN]),
        (AuditFilter(kind="key"), [KEY]),
        (AuditFilter(outcome="ok"), [GRANT, CREATE, DATABASE, QUOTED, KEY]),
        (AuditFilter(outcome="refused"), [LOGIN]),
        (AuditFilter(outcome="forwarded"), [FORWARD]),
        (AuditFilter(outcome="AUTHORIZATION"), [LOGIN]),
        (
            AuditFilter(since="2026-11-30T12:00:00"),
            [GRANT, CREATE, DATABASE, QUOTED, LOGIN, KEY, FORWARD],
        ),
        (AuditFilter(since="2026-12"), []),
        (AuditFilter(user="root", target="todd", kind="GRANT", database="telegraf"), [GRANT]),
    ],
)
def test_a_filter_accepts(wanted: AuditFilter, accepted: list[AuditRecord]) -> None:
    every = [GRANT, CREATE, DATABASE, QUOTED, LOGIN, KEY, FORWARD]
    assert [it for it in every if wanted.accepts(it)] == accepted


def test_a_kind_is_two_words_of_a_statement_and_one_of_all_else() -> None:
    found = [audit_kind(it) for it in (GRANT, CREATE, LOGIN, KEY, record(""))]
    assert found == ["GRANT READ", "CREATE USER", "login", "key", ""]


def test_a_denied_query_names_the_database_that_it_requires_and_no_value() -> None:
    assert AuditFilter(database="db1").accepts(DENIED)
    assert not AuditFilter(target="todd").accepts(DENIED)
