"""The parser: statements of valid InfluxQL, and error messages for invalid texts."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate_grammar import (
    CreateDatabase,
    CreateUser,
    DropDatabase,
    DropUser,
    Grant,
    GrantAdmin,
    ParseCache,
    ParseError,
    ParseLimits,
    PolicyOptions,
    Privilege,
    Revoke,
    RevokeAdmin,
    SetPassword,
    ShowDatabases,
    ShowGrants,
    ShowUsers,
    Statement,
    parse,
)

HERE = Path(__file__).parent
IDENTITY = (HERE / "identity.influxql").read_text("utf-8").splitlines()
WRONG = [
    tuple(line.split("\t"))
    for line in (HERE / "wrong.txt").read_text("utf-8").splitlines()
    if not line.startswith("#")
]
DAY = 86_400_000_000_000

names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=8)
privileges = st.sampled_from([Privilege.READ, Privilege.WRITE, Privilege.ALL])
spans = st.integers(0, 10**18)
policies = st.builds(
    PolicyOptions,
    duration=st.none() | spans,
    replication=st.none() | st.integers(1, 2**31 - 1),
    shard_duration=spans,
    name=names,
).filter(lambda policy: policy != PolicyOptions())
statements = st.one_of(
    st.builds(DropUser, names),
    st.builds(Grant, privileges, names, names),
    st.builds(Revoke, privileges, names, names),
    st.builds(GrantAdmin, names),
    st.builds(RevokeAdmin, names),
    st.just(ShowUsers()),
    st.builds(ShowGrants, names),
    st.builds(CreateDatabase, names, st.none() | policies),
    st.builds(DropDatabase, names),
    st.just(ShowDatabases()),
)


@pytest.mark.parametrize("text", IDENTITY)
def test_a_canonical_statement_is_printed_as_it_was_written(text: str) -> None:
    (statement,) = parse(text)
    assert str(statement) == text


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_a_wrong_text_is_refused_in_influxdbs_words(text: str, message: str) -> None:
    with pytest.raises(ParseError) as refused:
        parse(text.replace(r"\n", "\n") if "\\n" in text else text)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("text", "statement"),
    [
        ("create user TODD with password 'x'", CreateUser("TODD", "x")),
        ("CREATE USER a WITH PASSWORD '' WITH ALL PRIVILEGES", CreateUser("a", "", True)),
        (r"""CREATE USER "a\"b" WITH PASSWORD 'c\'d\n\\e"f'""", CreateUser('a"b', "c'd\n\\e\"f")),
        ("SET PASSWORD FOR todd='x'", SetPassword("todd", "x")),
        ("grant all on db to todd", Grant(Privilege.ALL, "db", "todd")),
        ("GRANT ALL TO todd", GrantAdmin("todd")),
        ("REVOKE ALL FROM todd", RevokeAdmin("todd")),
        ("CREATE DATABASE x WITH DURATION 1d12h", CreateDatabase("x", PolicyOptions(DAY * 3 // 2))),
        ("CREATE DATABASE x WITH DURATION INF", CreateDatabase("x", PolicyOptions(0))),
        ("-- who\nSHOW/* all */USERS -- now", ShowUsers()),
        ("SHOW\r\nUSERS\r", ShowUsers()),
    ],
)
def test_a_text_means(text: str, statement: Statement) -> None:
    assert parse(text) == (statement,)


def test_statements_are_separated_by_semicolons_and_empty_ones_do_not_count() -> None:
    assert parse(";;SHOW USERS;;;SHOW DATABASES;") == (ShowUsers(), ShowDatabases())
    assert parse(" ; -- nothing") == ()
    assert parse("") == ()


@pytest.mark.parametrize(
    "text",
    ["DROP USER \"a\0b\"", "SHOW USERS -- a\0; DROP USER b", "SHOW /* \0 */ USERS", "SHOW USERS\0",
     "CREATE USER a WITH PASSWORD 'b\0'", "SELECT a FROM /b\0/"],
)  # fmt: skip
def test_nul_is_nowhere(text: str) -> None:
    with pytest.raises(ParseError):
        parse(text)


@pytest.mark.parametrize("pattern", [r"\pL" * 100_000, "a" * 100_001, r"(?i)[^\pL]" * 10_000])
def test_a_regular_expression_has_a_size(pattern: str) -> None:
    with pytest.raises(ParseError, match="error parsing regexp: expression too large"):
        parse(f"SELECT x FROM m WHERE y =~ /{pattern}/")
    hosts = "|".join(f"host{number}" for number in range(5000))
    assert parse(f"SELECT x FROM m WHERE y =~ /^({hosts})$/")


def test_an_error_says_what_was_found_and_what_expected() -> None:
    with pytest.raises(ParseError) as refused:
        parse("SHOW USERS;\n GRANT FOO")
    error = refused.value
    assert (error.found, error.expected) == ("FOO", ("READ", "WRITE", "ALL [PRIVILEGES]"))
    assert (error.line, error.char) == (2, 8)


@given(statements)
def test_what_is_printed_means_the_same(statement: Statement) -> None:
    assert parse(str(statement)) == (statement,)


@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        parse(text)
    except ParseError as error:
        assert error.line >= 1 and error.char >= 1


@given(st.lists(st.sampled_from("CREATE USER SET PASSWORD FOR WITH = 'x' \"y\" z ; ALL".split())))
def test_any_words_are_parsed_or_refused(words: list[str]) -> None:
    try:
        parse(" ".join(words))
    except ParseError:
        pass


@given(names, st.text())
def test_a_password_is_neither_in_the_text_nor_in_the_repr(name: str, rest: str) -> None:
    mark = "Zk7#q"
    for statement in (CreateUser(name, mark + rest), SetPassword(name, rest + mark)):
        assert mark not in str(statement) + repr(statement)


def test_a_repeated_text_is_parsed_once_unless_it_holds_a_password() -> None:
    cache = ParseCache(max_texts=2)
    assert cache("SHOW USERS") is cache("SHOW USERS")
    secret = "CREATE USER a WITH PASSWORD 'x'"
    assert cache(secret) is not cache(secret)
    first = cache("SHOW USERS")
    cache("SHOW DATABASES")
    cache("SHOW GRANTS FOR a")
    assert cache("SHOW USERS") is not first


@pytest.mark.parametrize("zeros", ["0", "0" * 40, "0" * 5000])
def test_zeros_in_front_of_a_number_do_not_count(zeros: str) -> None:
    for text in ("SELECT x FROM m LIMIT {}1", "DROP SHARD {}7", "SELECT x FROM m WHERE y = {}1"):
        assert parse(text.format(zeros)) == parse(text.format(""))


@pytest.mark.parametrize(
    ("text", "bounds", "error"),
    [
        ("SHOW USERS; SHOW USERS", ParseLimits(statements=2), ""),
        ("SHOW USERS; SHOW USERS;", ParseLimits(statements=2), ""),
        ("SHOW USERS; SHOW USERS; x", ParseLimits(statements=2), "more than 2 statements"),
        ("SHOW USERS; SHOW USERS", ParseLimits(statement_chars=12), ""),
        (
            "SHOW USERS; SHOW USERS",
            ParseLimits(statement_chars=10),
            "statement longer than 10 characters",
        ),
        (
            "SHOW USERS /* long */;",
            ParseLimits(statement_chars=11),
            "statement longer than 11 characters",
        ),
        (
            " " * 1000 + "SHOW USERS",
            ParseLimits(statement_chars=100),
            "statement longer than 100 characters",
        ),
        ("SHOW USERS; " * 100, ParseLimits(), ""),
    ],
)
def test_a_text_is_read_no_further_than_its_bounds(
    text: str, bounds: ParseLimits, error: str
) -> None:
    if not error:
        assert parse(text, limits=bounds)
        return
    with pytest.raises(ParseError, match=error):
        parse(text, limits=bounds)
