"""ParseCache: a cached text has the same statements as a newly parsed text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate_grammar import (
    GenerationalCache,
    ParseCache,
    ParseError,
    ParseLimits,
    Statement,
    parse,
)

PLACES = [
    "SHOW GRANTS FOR {}",
    "DROP USER {}",
    "DROP DATABASE {}",
    "GRANT READ ON {} TO {}",
    "REVOKE ALL PRIVILEGES ON {} FROM {}",
    "GRANT ALL PRIVILEGES TO {}",
    "CREATE DATABASE {}",
    "SHOW MEASUREMENTS ON {}",
    "SHOW TAG KEYS FROM {}",
    "SELECT {} FROM {}",
    "SHOW {} FOR {}",
]
plain = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
quoted = st.text(st.characters(blacklist_characters='"\\\n\0', codec="utf-8"), max_size=8)
words = st.sampled_from(["fill", "tz", "verbose", "Database", "user", '"fill"', '"to"', "a", '""'])
names = plain | words | quoted.map('"{}"'.format)


@pytest.mark.slow
@given(st.sampled_from(PLACES), st.lists(st.tuples(names, names), min_size=2, max_size=6))
def test_a_text_like_one_that_was_parsed_is_what_parsing_it_gives(
    place: str, chosen: list[tuple[str, str]]
) -> None:
    cache = ParseCache()
    for pair in chosen:
        text = place.format(*pair)
        try:
            parsed = parse(text)
        except ParseError:
            assert cache.cached(text) is None
            continue
        known = cache.cached(text)
        assert known is None or known == parsed
        assert cache(text) == parsed


def test_a_name_more_is_known_without_parsing() -> None:
    cache = ParseCache()
    cache("GRANT READ ON db TO ann")
    assert cache.cached('grant READ on "other db" to bob') == parse(
        'GRANT READ ON "other db" TO bob'
    )
    assert cache.cached("GRANT WRITE ON db TO bob") is None
    assert cache.cached("GRANT READ  ON db TO bob") is None  # two blanks before ON


def test_the_same_name_twice_tells_nothing_of_its_places() -> None:
    cache = ParseCache()
    cache("GRANT READ ON ann TO ann")
    assert cache.cached("GRANT READ ON db TO ann") is None


def test_bounds_hold_for_what_is_like_a_text() -> None:
    cache = ParseCache(limits=ParseLimits(statement_chars=30))
    cache("SHOW GRANTS FOR ann")
    assert cache.cached("SHOW GRANTS FOR " + "a" * 30) is None


def test_passwords_are_never_remembered() -> None:
    cache = ParseCache()
    cache("CREATE USER ann WITH PASSWORD 'secret'")
    cache("SET PASSWORD FOR ann = 'secret'")
    assert "secret" not in repr(vars(cache)) + repr(vars(cache._templates))


@pytest.mark.parametrize(
    "text",
    [
        "SHOW GRANTS FORR",
        "SELECT",
        "SHOW USERS; DROP",
        "SHOW USERS; SHOW DATABASES; SELECT 1h1 FROM m",
        "DELETE FROM a.b.c",
        "SELECT x FROM m WHERE time > now() - 9999999999999w",
        "bogus " + "x" * 300,
    ],
)
def test_an_invalid_text_has_the_same_error_each_time(text: str) -> None:
    cache = ParseCache()
    seen = []
    for _ in range(3):
        statements: list[Statement] = []
        with pytest.raises(ParseError) as caught:
            cache(text, None, statements.append)
        error = caught.value
        seen.append((type(error), str(error), vars(error), statements))
        assert cache.cached(text) is None
    with pytest.raises(ParseError) as parsed:
        parse(text)
    assert seen[0][:3] == (type(parsed.value), str(parsed.value), vars(parsed.value))
    assert seen == seen[:1] * 3


def test_a_callback_ends_a_known_invalid_text_as_a_new_one() -> None:
    def deny(statement: Statement) -> None:
        raise PermissionError(type(statement).__name__)

    cache = ParseCache()
    for _ in range(2):
        with pytest.raises(PermissionError, match="ShowUsers"):
            cache("SHOW USERS; DROP", None, deny)
        with pytest.raises(ParseError):
            cache("SHOW USERS; DROP")


@pytest.mark.parametrize(
    "text",
    [
        "CREATE USER ann WITH PASSWORD 'secret",
        "CREATE USER ann WITH Password secret",
        "CREATE USER ann WITH PASWORD 'secret'",
        'SET PASSWRD FOR ann = "secret"',
    ],
)
def test_an_invalid_text_with_a_password_is_not_kept(text: str) -> None:
    cache = ParseCache()
    with pytest.raises(ParseError):
        cache(text)
    kept = [value for value in vars(cache).values() if isinstance(value, GenerationalCache)]
    assert "secret" not in repr([vars(each) for each in kept])


def test_no_more_than_so_many_invalid_texts_are_kept() -> None:
    cache = ParseCache()
    for number in range(1000):
        with pytest.raises(ParseError):
            cache(f"SHOW NOTHING {number}")
    kept = [value for value in vars(cache).values() if isinstance(value, GenerationalCache)]
    assert max(map(len, kept)) <= 256
