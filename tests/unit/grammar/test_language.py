"""Random InfluxQL: generated statements parse and print the same; invalid texts are errors."""

import re
import sys
import typing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import headgate_grammar
from headgate_grammar import CreateUser, ParseError, SetPassword, Statement, parse
from headgate_grammar.parsing.lexer import SYMBOLS
from headgate_grammar.parsing.limits import MAX_DEPTH
from headgate_grammar.parsing.transformer import Builder
from headgate_grammar.text.keywords import KEYWORDS
from support.random_statements import Statements, mutated

seeds = st.integers(0, 2**63)
words = st.sampled_from(
    [*sorted(KEYWORDS), *SYMBOLS, "::", ".", ":", "$p", "x", '"y"', "'z'", "/r/", "1", "1.5", "2h"]
    + ["time", "fill", "tz", "field", "tag", "float", "--", "/*", "*/", "\\", "'", '"', "é", "\0"]
)


def generated(statements: Statements) -> Statement:
    """Returns the next random statement that parses; only some continuous queries do not."""
    while True:
        text = statements.statement()
        try:
            (statement,) = parse(text)
        except ParseError:
            assert text.startswith("CREATE CONTINUOUS QUERY"), text
        else:
            return statement


def comes_back(statements: tuple[Statement, ...]) -> None:
    """Asserts that printed *statements* parse to equal statements.

    Statements with a password are left out, because printing redacts the password.
    """
    printed = tuple(s for s in statements if not isinstance(s, CreateUser | SetPassword))
    assert parse("; ".join(map(str, printed))) == printed


@given(seeds)
def test_what_is_printed_means_the_same(seed: int) -> None:
    comes_back((generated(Statements(seed)),))


@given(seeds)
def test_a_text_with_mistakes_is_parsed_or_refused(seed: int) -> None:
    statements = Statements(seed)
    text = mutated(statements.statement(), statements.random)
    try:
        found = parse(text)
    except ParseError:
        return
    comes_back(found)


@given(st.lists(words, max_size=12).map(" ".join))
def test_words_in_any_order_are_parsed_or_refused(text: str) -> None:
    try:
        found = parse(text)
    except ParseError:
        return
    comes_back(found)


@pytest.mark.slow
def test_every_kind_of_statement_is_generated() -> None:
    generator, missing = Statements(1), set(typing.get_args(Statement))
    for _ in range(5000):
        missing.discard(type(generated(generator)))
        if not missing:
            break
    assert not missing


@pytest.mark.parametrize(
    ("opening", "inside", "closing"),
    [("(", "x", ")"), ("f(", "x", ")"), ("1 - (", "x", ")"), ("f(x + (", "x", "))")],
)
def test_nesting_has_an_end_with_a_clear_error(opening: str, inside: str, closing: str) -> None:
    levels = MAX_DEPTH // opening.count("(")
    good = opening * levels + inside + closing * levels
    (statement,) = parse(f"SELECT {good} FROM m")
    assert parse(str(statement)) == (statement,)
    for depth in (levels + 1, 100_000):
        with pytest.raises(ParseError, match=f"nested deeper than {MAX_DEPTH} levels at line 1"):
            parse(f"SELECT {opening * depth}{inside}{closing * depth} FROM m")


@pytest.mark.parametrize(
    ("opening", "closing"),
    [
        ("a OR a AND 1=1+1*(", ")"),
        ("a OR a AND 1=1+1*f(", ")"),
        ("1*(", ")+1=1 AND a OR a"),
        ("a OR a AND 1=1+1*-(", ")"),
    ],
)
def test_what_is_parsed_can_be_printed_however_deep_it_is(opening: str, closing: str) -> None:
    # A minus sign adds a level of nesting.
    levels = MAX_DEPTH // (2 if opening.endswith("-(") else 1)
    text = f"SELECT a FROM m WHERE {opening * levels}1{closing * levels}"
    (statement,) = parse(text)
    assert parse(str(statement)) == (statement,)
    assert hash(statement) == hash(parse(text)[0])
    assert "SELECT" in str(statement) and "Select" in repr(statement)


def test_subqueries_have_an_end_too() -> None:
    with pytest.raises(ParseError, match="nested deeper"):
        parse("SELECT x FROM (" * 5000 + "m" + ")" * 5000)


@pytest.mark.slow
@pytest.mark.parametrize("operator", ["+", "-", "*", "/", "|", "AND", "=", "^"])
def test_a_long_chain_of_operators_is_no_nesting(operator: str) -> None:
    text = f" {operator} ".join(["x"] * (2 * sys.getrecursionlimit()))
    (statement,) = parse(f"SELECT a FROM m WHERE {text}")
    (again,) = parse(str(statement))
    assert again == statement
    assert hash(again) == hash(statement)
    assert "x" in repr(statement)


def test_a_megabyte_of_one_string_is_one_string() -> None:
    for quote in "'\"":
        text = f"DROP USER {quote}{'a' * 1_000_000}{quote}"
        if quote == '"':
            assert parse(text)[0].name == "a" * 1_000_000  # type: ignore[union-attr]
        else:
            with pytest.raises(ParseError, match="expected identifier"):
                parse(text)
        with pytest.raises(ParseError):
            parse(text[:-1])


def test_every_rule_of_the_grammar_has_its_method() -> None:
    text = (Path(headgate_grammar.__file__).parent / "influxql.lark").read_text("utf-8")
    # Rules with `?` need no method: Lark replaces such a rule by its child. Aliases need a method.
    rules = set(re.findall(r"^([a-z][a-z_]*)\s*:", text, re.MULTILINE))
    rules |= set(re.findall(r"->\s*([a-z_]+)", text))
    assert sorted(name for name in rules if not hasattr(Builder, name)) == []
