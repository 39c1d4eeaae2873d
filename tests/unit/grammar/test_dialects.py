"""The dialects of InfluxQL: what 1.12 parses beyond 1.8, and the words of errors."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headgate_grammar import DIALECTS, Dialect, ParseCache, ParseError, parse
from support.random_statements import Statements, mutated

POLICY = "CREATE RETENTION POLICY p ON d DURATION 1d REPLICATION 1"
ALTER = "ALTER RETENTION POLICY p ON d"
# Statements of 1.12, and how 1.8 rejects them.
NEW = [
    ("SHOW MEASUREMENTS ON db.rp", "found ., expected ; at line 1, char 24"),
    ("SHOW MEASUREMENTS ON *", "found *, expected identifier at line 1, char 22"),
    ("SHOW MEASUREMENTS ON *.*", "found *, expected identifier at line 1, char 22"),
    ("SHOW MEASUREMENTS ON db.*", "found ., expected ; at line 1, char 24"),
    ("SHOW MEASUREMENTS ON *.rp", "found *, expected identifier at line 1, char 22"),
    ('SHOW MEASUREMENTS ON "d b"."r p" LIMIT 3', "found ., expected ; at line 1, char 27"),
    (
        "CREATE DATABASE x WITH FUTURE LIMIT 1h",
        "found FUTURE, expected DURATION, NAME, REPLICATION, SHARD at line 1, char 24",
    ),
    (
        "CREATE DATABASE x WITH DURATION 48h0m0s PAST LIMIT 3d NAME n",
        "found PAST, expected ; at line 1, char 41",
    ),
    (f"{POLICY} DEFAULT FUTURE LIMIT 1h", "found FUTURE, expected ; at line 1, char 66"),
    (f"{POLICY} PAST LIMIT 1w", "found PAST, expected ; at line 1, char 58"),
    (
        f"{ALTER} DEFAULT FUTURE LIMIT 2h PAST LIMIT 0s",
        "found FUTURE, expected ; at line 1, char 39",
    ),
    ("EXPLAIN VERBOSE SELECT a FROM b", "found VERBOSE, expected SELECT at line 1, char 9"),
    ("DELETE FROM rp.m WHERE x = 'y'", "retention policy not supported at line 1, char 1"),
]


def error(text: str, dialect: Dialect) -> str:
    with pytest.raises(ParseError) as rejected:
        parse(text, dialect=dialect)
    return str(rejected.value)


@pytest.mark.parametrize(("text", "reason"), NEW)
def test_a_statement_of_1_12_is_an_error_in_1_8(text: str, reason: str) -> None:
    for dialect in ("", "1.12"):
        (statement,) = parse(text, dialect=dialect)
        assert str(statement) == text
    assert error(text, "1.8") == reason


@pytest.mark.parametrize(
    ("text", "older", "newer"),
    [
        (
            "CREATE DATABASE x WITH y",
            "found y, expected DURATION, NAME, REPLICATION, SHARD at line 1, char 24",
            "found y, expected DURATION, NAME, REPLICATION, SHARD, FUTURE, PAST at line 1, char 24",
        ),
        (
            f"{ALTER} x",
            "found x, expected DURATION, REPLICATION, SHARD, DEFAULT at line 1, char 31",
            "found x, expected DURATION, REPLICATION, SHARD, DEFAULT, FUTURE, PAST"
            " at line 1, char 31",
        ),
        (
            "SHOW MEASUREMENTS ON",
            "found EOF, expected identifier at line 1, char 22",
            "found EOF, expected identifier or * at line 1, char 22",
        ),
        (
            "SHOW MEASUREMENTS ON db.",
            "found ., expected ; at line 1, char 24",
            "found EOF, expected identifier or * at line 1, char 25",
        ),
        (
            "CREATE DATABASE x WITH FUTURE 1h",
            "found FUTURE, expected DURATION, NAME, REPLICATION, SHARD at line 1, char 24",
            "found 1h, expected LIMIT at line 1, char 31",
        ),
        (
            f"{ALTER} PAST LIMIT 1h PAST LIMIT 2h",
            "found PAST, expected DURATION, REPLICATION, SHARD, DEFAULT at line 1, char 31",
            "found duplicate PAST option at line 1, char 45",
        ),
        (
            "DELETE FROM db.rp.m",
            "retention policy not supported at line 1, char 1",
            "database not supported at line 1, char 1",
        ),
        (
            "DROP SERIES FROM db.rp.m",
            "retention policy not supported at line 1, char 1",
            "retention policy not supported at line 1, char 1",
        ),
    ],
)
def test_without_a_dialect_an_error_of_both_has_the_text_of_1_8(
    text: str, older: str, newer: str
) -> None:
    assert [error(text, dialect) for dialect in ("", "1.8", "1.12")] == [older, older, newer]


def test_without_a_dialect_each_statement_of_a_text_may_be_of_its_own_version() -> None:
    newer = "SHOW MEASUREMENTS ON *.*"
    assert len(parse(f"{newer}; DROP USER past")) == 2
    assert error(f"{newer}; DROP USER 1", "") == "found 1, expected identifier at line 1, char 37"
    text = f"{newer}; DROP USER past"
    assert error(text, "1.8") == "found *, expected identifier at line 1, char 22"
    assert error(text, "1.12") == "found PAST, expected identifier at line 1, char 37"


@pytest.mark.parametrize("name", ["future", "past", "VERBOSE"])
def test_1_12_reserves_words_that_are_names_in_1_8(name: str) -> None:
    for text in (f"SELECT {name} FROM m", f"SHOW GRANTS FOR {name}", f"DROP DATABASE {name}"):
        for dialect in ("", "1.8"):
            (statement,) = parse(text, dialect=dialect)
            assert str(statement) == text.replace(name, f'"{name}"')
            assert parse(str(statement), dialect="1.12") == (statement,)
        assert f"found {name.upper()}, expected" in error(text, "1.12")


def test_a_cache_keeps_its_dialect() -> None:
    for dialect in DIALECTS:
        cache = ParseCache(dialect=dialect)
        for _ in range(3):
            assert cache("DROP USER todd") == parse("DROP USER todd")
            for text in ("DROP USER past", "SHOW MEASUREMENTS ON *"):
                try:
                    expected: object = parse(text, dialect=dialect)
                except ParseError:
                    expected = None
                try:
                    assert cache(text) == expected
                except ParseError:
                    assert expected is None


@pytest.mark.slow
@example(78862)
@given(st.integers(0, 2**63))
def test_without_a_dialect_a_text_of_either_version_is_accepted(seed: int) -> None:
    statements = Statements(seed)
    texts = [statements.statement(), statements.newer()]
    texts += [mutated(text, statements.random) for text in texts]
    for text in texts:
        found: dict[str, object] = {}
        for dialect in DIALECTS:
            try:
                found[dialect] = parse(text, dialect=dialect)
            except ParseError as rejected:
                found[dialect] = str(rejected)
        accepted = [one for one in (found["1.8"], found["1.12"]) if not isinstance(one, str)]
        if not accepted and ";" in text:  # each statement may be of its own version
            continue
        assert found[""] == (accepted[0] if accepted else found["1.8"]), text


@given(st.integers(0, 2**63))
def test_a_statement_of_1_12_is_printed_as_it_is_parsed(seed: int) -> None:
    for dialect in ("", "1.12"):
        printed = str(*parse(Statements(seed).newer(), dialect=dialect))
        assert str(*parse(printed, dialect=dialect)) == printed
