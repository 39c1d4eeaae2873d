"""Printed statements parse to equal statements, with any values of bound parameters."""

import typing

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headgate_grammar import (
    CreateContinuousQuery,
    CreateSubscription,
    CreateUser,
    DropUser,
    Measurement,
    ParseError,
    SetPassword,
    Statement,
    UnparseError,
    parse,
    unparse,
)
from headgate_grammar.ast.expressions import RegexLiteral, StringLiteral
from headgate_grammar.text.quoting import printable_regex
from support.bound_values import UNPRINTABLE, Bound, bound

seeds = st.integers(0, 2**63)


def parsed(given: Bound) -> tuple[Statement, ...]:
    try:
        return parse(given.text, given.parameters)
    except ParseError:
        return ()


@given(seeds)
def test_a_statement_with_bound_values_reads_back_as_itself(seed: int) -> None:
    for statement in parsed(bound(seed)):
        try:
            assert parse(unparse(statement)) == (statement,)
        except UnparseError as refused:
            assert isinstance(statement, CreateContinuousQuery), refused
        if not isinstance(statement, CreateUser | SetPassword | CreateSubscription):
            assert parse(str(statement)) == (statement,)


@pytest.mark.slow
def test_every_kind_of_statement_is_made_with_bound_values() -> None:
    missing = set(typing.get_args(Statement))
    for seed in range(4000):
        missing -= {type(statement) for statement in parsed(bound(seed))}
        if not missing:
            break
    assert not missing


@pytest.mark.parametrize(
    ("pattern", "printed"),
    [
        ("x", "/x/"),
        ("a/b", r"/a\/b/"),
        ("x\\\\", r"/x\x5c/"),
        ("\\\\\\\\", r"/\\\x5c/"),
        ("\\\\/", r"/\\\//"),
        ("a\nb", r"/a\nb/"),
        ("[a\nb]", r"/[a\nb]/"),
        ("\\\n", r"/\n/"),
        ("\\Qa.b\\", r"/a\.b\x5c/"),
        ("\\Q\n\\E+", r"/\n+/"),
        ("\\Qa/\\E\\\\", r"/a\/\x5c/"),
        ("\\Qa\\E", "/\\Qa\\E/"),
    ],
)
def test_a_pattern_is_printed_so_that_it_ends_where_it_should(pattern: str, printed: str) -> None:
    text = "SELECT v FROM m WHERE h =~ $r"
    (statement,) = parse(text, {"r": {"regex": pattern}})
    assert str(statement) == f"SELECT v FROM m WHERE h =~ {printed}"
    assert parse(str(statement)) == (statement,)


_MATCHED = st.text(alphabet="ab\\/\n.[]QE-", max_size=6)


@given(st.text(alphabet="ab\\/\n.[]()+QE-^$|", min_size=1, max_size=12), st.lists(_MATCHED))
@example("\\\n", ["\n", "\\n", "n"])
@example("\\Qa\nb\\", ["a\nb\\"])
def test_a_pattern_means_the_same_as_it_is_printed(pattern: str, subjects: list[str]) -> None:
    import re2

    quiet = re2.Options()
    quiet.log_errors = False
    try:
        given = re2.compile(pattern, quiet)
    except re2.error:
        return
    made = re2.compile(printable_regex(pattern), quiet)
    for subject in subjects:
        found, again = given.search(subject), made.search(subject)
        assert (found and found.span()) == (again and again.span()), subject


@pytest.mark.parametrize("value", UNPRINTABLE)
@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("DROP USER $p", "identifier"),
        ("CREATE DATABASE $p", "ident"),
        ("SELECT v FROM m WHERE h = $p", "string"),
        ("SELECT v FROM m WHERE h =~ $p", "regex"),
        ("CREATE SUBSCRIPTION s ON d.r DESTINATIONS ALL $p", "string"),
        ("CREATE CONTINUOUS QUERY c ON d BEGIN SELECT mean(v) INTO $p FROM m GROUP BY time(1m) END",
         "identifier"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_printed_is_refused(text: str, kind: str, value: str) -> None:
    with pytest.raises(ParseError, match="^a parameter's value holds a carriage return, a NUL or"):
        parse(text, {"p": {kind: value}})


@pytest.mark.parametrize(
    "text",
    ["SELECT v FROM m WHERE h = $r", "SELECT v FROM m WHERE $r"],
)
def test_a_pattern_is_refused_where_none_can_be_printed(text: str) -> None:
    with pytest.raises(ParseError, match="^found x, expected"):
        parse(text, {"r": {"regex": "x"}})


@pytest.mark.parametrize(
    "statement",
    [
        DropUser("a\rb"),
        DropUser("a\0b"),
        Measurement("m"),
        StringLiteral("x; DROP DATABASE bank"),
    ],
)
def test_a_tree_that_reads_back_as_another_is_refused(statement: object) -> None:
    with pytest.raises(UnparseError, match="^the statement cannot be written as a text"):
        unparse(statement)  # type: ignore[arg-type]


def test_a_pattern_that_was_built_by_hand_ends_nothing() -> None:
    assert str(RegexLiteral("x\\\\")) == r"/x\x5c/"


def test_passwords_and_logins_are_in_the_text_to_execute_and_nowhere_else() -> None:
    texts = [
        "CREATE USER u WITH PASSWORD 'Zk7q9' WITH ALL PRIVILEGES",
        r"SET PASSWORD FOR u = 'Zk7q9\'\\\n'",
        "CREATE SUBSCRIPTION s ON d.r DESTINATIONS ALL 'http://u:Zk7q9@h:1', 'u:Zk7q9/?@h'",
        "CREATE SUBSCRIPTION s ON d.r DESTINATIONS ANY 'http://h:1/?u=x&p=Zk7q9'",
    ]
    for text in texts:
        (statement,) = parse(text)
        assert unparse(statement) == text
        assert "Zk7q9" not in str(statement) + repr(statement)


STORED = [
    'SELECT "mean(v) into a.b.c from bank.autogen.m group by time(1s) end --"(v)',
    'SELECT mean("v) into a.b.c from bank.autogen.m group by time(1s) end --")',
    'SELECT count(DISTINCT "v) into a.b.c from bank.autogen.m group by time(1s) end --")',
    'SELECT mean("a b")',
    'SELECT mean("a/*")',
    'SELECT mean("a--")',
    'SELECT mean("select")',
    'SELECT mean("")',
    'SELECT mean("v"."a b")',
    'SELECT f("x", "a-b")',
]


@pytest.mark.parametrize("fields", STORED)
def test_a_continuous_query_has_no_name_that_influxdb_stores_without_its_quotes(
    fields: str,
) -> None:
    bodies = [
        f"{fields} INTO y FROM m GROUP BY time(1m)",
        f"SELECT mean(v) INTO y FROM ({fields} FROM m) GROUP BY time(1m)",
    ]
    for body in bodies:
        (statement,) = parse(f"CREATE CONTINUOUS QUERY c ON shop BEGIN {body} END")
        with pytest.raises(UnparseError, match="^InfluxDB stores the name "):
            unparse(statement)
    (select,) = parse(f"{fields} FROM m")
    assert parse(unparse(select)) == (select,), "elsewhere a name may be anything"


@pytest.mark.parametrize(
    "body",
    [
        'SELECT mean(v) INTO y FROM m WHERE "a b" = 1 GROUP BY time(1m)',
        'SELECT mean(v) INTO y FROM m GROUP BY time(1m), "a b"',
        'SELECT mean(v) INTO y FROM (SELECT v FROM m WHERE "a b" = 1) GROUP BY time(1m)',
    ],
)
def test_nor_has_its_condition_or_its_dimensions(body: str) -> None:
    (statement,) = parse(f"CREATE CONTINUOUS QUERY c ON shop BEGIN {body} END")
    with pytest.raises(UnparseError, match="^InfluxDB stores the name "):
        unparse(statement)


def test_other_names_of_a_continuous_query_may_be_anything() -> None:
    text = (
        'CREATE CONTINUOUS QUERY "c x" ON "d b" BEGIN SELECT mean(v) AS "a b", distinct(x)'
        ' INTO "r p"."t --" FROM "m /*", /x y/ WHERE h = \'a b\' AND a.b =~ /x/'
        " GROUP BY time(1m), h END"
    )
    (statement,) = parse(text)
    assert parse(unparse(statement)) == (statement,)
