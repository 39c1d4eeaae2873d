"""Expected tokens after a text (for completion), and the tokens of a text (for highlighting)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate_grammar import completions, highlight, parse

STATEMENTS = "ALTER CREATE DELETE DROP EXPLAIN GRANT KILL REVOKE SELECT SET SHOW"


@pytest.mark.parametrize(
    ("text", "words", "name", "complete"),
    [
        ("", STATEMENTS, False, True),
        ("SHOW USERS; ", STATEMENTS, False, True),
        ("GRANT", "ALL READ WRITE", False, False),
        ("GRANT READ ", "ON", False, False),
        ("GRANT READ ON ", "", True, False),
        ("GRANT READ ON db", "TO", False, False),
        ("GRANT READ ON db TO ", "", True, False),
        ("GRANT READ ON db TO todd ", "", False, True),
        ("EXPLAIN ANALYZE", "SELECT VERBOSE", False, False),
        ("SHOW TAG", "KEY KEYS VALUES", False, False),
        ("CREATE USER x WITH PASSWORD", "", False, False),
    ],
)
def test_what_may_follow(text: str, words: str, name: bool, complete: bool) -> None:
    accepted = completions(text)
    assert (" ".join(accepted.keywords), accepted.identifier) == (words, name)
    assert accepted.complete is complete and accepted.incomplete


@pytest.mark.parametrize("text", ["foo", "SHOW USERS todd", "GRANT READ ON 'db'", "DROP USER 'x"])
def test_nothing_follows_a_wrong_text(text: str) -> None:
    accepted = completions(text)
    assert not accepted.incomplete and not accepted.complete and not accepted.keywords


@given(st.text())
def test_a_text_that_may_be_over_parses(text: str) -> None:
    if completions(text).complete:
        parse(text)


def test_a_text_in_pieces() -> None:
    text = "SELECT \"a\"::float, 'b', 1h /* c */ FROM m WHERE x =~ /a.*/ AND y = $p -- z"
    found = [(piece.kind, text[piece.start : piece.stop]) for piece in highlight(text)]
    assert found == [
        *[("keyword", "SELECT"), ("name", '"a"'), ("symbol", "::"), ("keyword", "float")],
        *[("symbol", ","), ("string", "'b'"), ("symbol", ","), ("number", "1h")],
        *[("comment", "/* c */"), ("keyword", "FROM"), ("name", "m"), ("keyword", "WHERE")],
        *[("name", "x"), ("symbol", "=~"), ("regex", "/a.*/"), ("keyword", "AND")],
        *[("name", "y"), ("symbol", "="), ("parameter", "$p"), ("comment", "-- z")],
    ]


@given(st.text())
def test_any_text_has_pieces_in_order_and_nothing_but_blanks_between(text: str) -> None:
    end = 0
    for piece in highlight(text):
        assert end <= piece.start < piece.stop <= len(text)
        assert not text[end : piece.start].strip()
        end = piece.stop
    assert not text[end:].strip()
