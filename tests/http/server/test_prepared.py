"""PreparedQueryCache: a URL means the same with the cache as without."""

from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headgate_grammar import ParseCache, ParseError, ParseLimits
from headgate_server.http.errors import BadRequest, TooLarge
from headgate_server.http.form import Form
from headgate_server.http.request import Request
from headgate_server.query.cheap_parsing import is_cheap_to_parse
from headgate_server.query.prepared import PreparedQuery, PreparedQueryCache

names = st.one_of(
    st.sampled_from(["ann", "u1", "_x", "select", "For", "verbose", "a.b", "a b", "é", "1a", ""]),
    st.text(max_size=6),
)
texts = st.one_of(
    names.map(lambda name: f"SHOW GRANTS FOR {name}"),
    names.map(lambda name: f'SHOW GRANTS FOR "{name}"'),
    names.map(lambda name: f"show  grants for {name} "),
    names.map(lambda name: f"SHOW USERS {name}"),
    st.tuples(names, names).map(lambda two: f"SHOW GRANTS FOR {two[0]} {two[1]}"),
    st.tuples(names, names).map(lambda two: f"SHOW GRANTS FOR {two[0]};SHOW GRANTS FOR {two[1]}"),
)
queries = st.tuples(
    st.sampled_from(["", "db=x&", "pretty=true&", "u=ann&p=secret&", "q=SHOW+USERS&", "xq=a+b&"]),
    texts.map(quote_plus),
    st.sampled_from(["", "&db=y", "&epoch=ms", "&q=SHOW+GRANTS+FOR+x", "&", "&a;b", "%zz"]),
).map(lambda parts: "q=".join(parts[:2]) + parts[2])


async def nothing() -> Any:
    raise AssertionError("there is no body")


def meaning(preparations: PreparedQueryCache, query: str, longest: int = 0) -> object:
    """What *query* means, or why it means nothing."""
    scope = {"method": "GET", "path": "/query", "query_string": query.encode(), "headers": []}
    call = Request(scope, nothing)
    found: PreparedQuery | None
    try:
        fields = call.url_params
        if (found := preparations.get(call)) is None:
            text = Form(fields).query_text(longest)
            if is_cheap_to_parse(text):
                with suppress(ParseError):
                    preparations._parse(text)  # the query was executed before
            found = preparations.prepare(call, fields, text)
    except (BadRequest, TooLarge) as error:
        return str(error)
    if found is None:
        return None
    return (
        found.statements,
        found.fields,
        found.statement_names,
    )


@pytest.mark.slow
@example(["q=SHOW+GRANTS+FOR+ann", "q=SHOW+GRANTS+FOR+%22%2F%22"])
@given(st.lists(queries, max_size=8))
def test_what_was_asked_before_changes_nothing(asked: list[str]) -> None:
    preparations = PreparedQueryCache(ParseCache(), 0)
    for query in asked:
        alone = PreparedQueryCache(ParseCache(), 0)
        for _ in range(2):
            found, wanted = meaning(preparations, query), meaning(alone, query)
            if wanted is None and isinstance(found, tuple):
                # A name with `/`: a template reads it, but the parser would need a thread.
                (text,) = parse_qs(query, keep_blank_values=True, separator="&")["q"][:1]
                wanted = (ParseCache()(text), *found[1:])
            assert found == wanted


def test_no_name_is_longer_than_a_statement_may_be() -> None:
    for bounds, longest in ((ParseLimits(statement_chars=24), 0), (ParseLimits(), 24)):
        preparations = PreparedQueryCache(ParseCache(limits=bounds), longest)
        for name in ("ann", "bob", "annabelle_the_long_one"):
            said = meaning(preparations, f"q=SHOW+GRANTS+FOR+{name}", longest)
            # Why not is for the parser to say, or for the limit of a query.
            assert isinstance(said, tuple) is (len(name) == 3), (name, said)


@given(queries)
def test_nothing_is_kept_that_may_hold_a_secret(query: str) -> None:
    preparations = PreparedQueryCache(ParseCache(), 0)
    for _ in range(3):
        meaning(preparations, query)
    kept = repr([vars(one) for one in vars(preparations).values() if hasattr(one, "put")])
    assert "secret" not in kept
