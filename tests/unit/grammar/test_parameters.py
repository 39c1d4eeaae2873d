"""Bound parameters: `$name` in a query, and its value in `params`. Errors are influxd's."""

import pytest

from headgate_grammar import ParseError, parse


@pytest.mark.parametrize(
    ("text", "value", "printed"),
    [
        ("DROP USER $p", {"identifier": "a b"}, 'DROP USER "a b"'),
        ("DROP USER $p", {"ident": "a"}, "DROP USER a"),
        ('DROP USER $"p"', {"ident": "a"}, "DROP USER a"),
        ("SELECT x FROM m WHERE y = $p", "it's", r"SELECT x FROM m WHERE y = 'it\'s'"),
        ("SELECT x FROM m WHERE y = $p", {"string": "s"}, "SELECT x FROM m WHERE y = 's'"),
        ("SELECT x FROM m WHERE y = $p", True, "SELECT x FROM m WHERE y = true"),
        ("SELECT x FROM m WHERE y = $p", 12, "SELECT x FROM m WHERE y = 12"),
        ("SELECT x FROM m WHERE y = $p", 1.5, "SELECT x FROM m WHERE y = 1.500"),
        ("SELECT x FROM m WHERE y = $p", {"float": 1.5}, "SELECT x FROM m WHERE y = 1.500"),
        ("SELECT x FROM m WHERE y = $p", {"integer": 7}, "SELECT x FROM m WHERE y = 7"),
        ("SELECT x FROM m WHERE y =~ $p", {"regex": "a/b"}, r"SELECT x FROM m WHERE y =~ /a\/b/"),
        ("SELECT x::$p FROM m", {"identifier": "INTEGER"}, "SELECT x::integer FROM m"),
        (
            "SELECT x FROM m WHERE y::$p > 1",
            {"ident": "float"},
            "SELECT x FROM m WHERE y::float > 1",
        ),
        (
            "SELECT f(x) FROM m GROUP BY time($p)",
            {"duration": "90m"},
            "SELECT f(x) FROM m GROUP BY time(90m)",
        ),
    ],
)
def test_a_value_stands_for_one_token(text: str, value: object, printed: str) -> None:
    (statement,) = parse(text, {"p": value})
    assert str(statement) == printed


def test_a_value_is_never_more_than_one_token() -> None:
    for value in ("x'; DROP USER a; --", {"ident": 'a" OR "b'}):
        assert len(parse("SELECT x FROM m WHERE y = $p", {"p": value})) == 1


@pytest.mark.parametrize(
    ("text", "value", "error"),
    [
        (
            "SELECT x::$p FROM m",
            {"identifier": "field"},
            "found field, expected float, integer, unsigned, string, boolean, field, tag"
            " at line 1, char 11",
        ),
        (
            "SELECT x FROM cpu WHERE v = $p",
            [1],
            "missing parameter: unable to bind parameter with type []interface {}",
        ),
        (
            "SELECT x FROM cpu WHERE v = $p",
            None,
            "missing parameter: unable to bind parameter with type <nil>",
        ),
        (
            "SELECT mean(x) FROM cpu GROUP BY time($p)",
            {"foo": "1h"},
            "missing parameter: unknown bind object type: foo",
        ),
        ("SELECT x FROM cpu WHERE v = $q", 1, "missing parameter: q"),
        ("SELECT x FROM cpu WHERE v = $", 1, "empty bound parameter"),
        ("DROP USER $p", "text", "found text, expected identifier at line 1, char 11"),
        ("DROP USER $q", 1, "found $q, expected identifier at line 1, char 11"),
    ],
)
def test_a_wrong_value_is_refused_in_influxdbs_words(text: str, value: object, error: str) -> None:
    with pytest.raises(ParseError) as refused:
        parse(text, {"p": value})
    assert str(refused.value) == error


def test_a_wrong_regular_expression_is_said_to_stand_where_its_parameter_stands() -> None:
    with pytest.raises(ParseError, match="at line 1, char 30$"):
        parse("SELECT x FROM cpu WHERE v =~ $p", {"p": {"regex": "("}})


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("-inf"), {"float": 10**400}, {"int": 10**5000}, {"duration": 10**5000}]
    + [{"int": -(10**25)}, {"int": -1}, -1, 1 << 63],
)
def test_a_number_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(ParseError):
        parse("SELECT x FROM m LIMIT $p", {"p": value})


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("$1", "1"),
        ("$007", "007"),
        ("$1a", "1a"),
        ("$_", "_"),
        ("$select", "select"),
        ('$"a b"', "a b"),
        ('$"1"', "1"),
        ('$"é\u2028"', "é\u2028"),
        (r'$"a\"b\\c\n"', 'a"b\\c\n'),
        ('$"\'; --"', "'; --"),
    ],
)
def test_a_name_may_begin_with_a_digit_or_be_quoted(written: str, name: str) -> None:
    (statement,) = parse(f"SELECT x FROM m WHERE y = {written} LIMIT 1", {name: 5})
    assert str(statement) == "SELECT x FROM m WHERE y = 5 LIMIT 1"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("DROP USER $", "found $, expected identifier at line 1, char 11"),
        ("SELECT x FROM m WHERE y = $é", "empty bound parameter"),
        ('DROP USER $"b', "found $b, expected identifier at line 1, char 11"),
        ('DROP USER $a"', "found $, expected identifier at line 1, char 11"),
        ('DROP USER $1"x\\', "found $\\\0, expected identifier at line 1, char 11"),
        ('DROP USER $"x\\t"', "found $\\t, expected identifier at line 1, char 11"),
        ('DROP USER $"x\ny"', "found $x, expected identifier at line 1, char 11"),
        # InfluxDB reads this as $b.
        ('DROP USER $a"b"', "found $b, expected identifier at line 1, char 11"),
    ],
)
def test_a_name_that_is_broken_is_shown_as_influxdb_shows_it(text: str, error: str) -> None:
    with pytest.raises(ParseError) as refused:
        parse(text, {"a": {"ident": "u"}, "b": {"ident": "u"}})
    assert str(refused.value) == error


BLANKS = "\x0b \x0c \x1c \x1d \x1e \x1f \x85 \xa0 \u1680 \u2028 \u2029 \u202f \u3000 \ufeff".split(
    " "
)


@pytest.mark.parametrize("blank", BLANKS)
@pytest.mark.parametrize(
    "text", ["SHOW{}USERS", "SHOW USERS{}", "{}SHOW USERS", "SELECT x FROM m;{}"]
)
def test_white_space_is_blank_tab_and_line_feed_alone(text: str, blank: str) -> None:
    with pytest.raises(ParseError, match=f"^found {blank}, expected"):
        parse(text.format(blank))
