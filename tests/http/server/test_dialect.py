"""The option `dialect`: which version of InfluxQL a server accepts."""

from collections.abc import Callable

import pytest

from support.servers import ROOT, Server


@pytest.mark.parametrize(
    ("dialect", "errors"),
    [
        ("", ["", ""]),
        ("1.8", ["found VERBOSE, expected SELECT at line 1, char 9", ""]),
        ("1.12", ["", "found PAST, expected identifier at line 1, char 15"]),
    ],
)
def test_the_dialect_decides_what_is_parsed(
    serve: Callable[..., Server], dialect: str, errors: list[str]
) -> None:
    server = serve(HEADGATE_HTTP_DIALECT=dialect).bootstrap()
    upstream = "no upstream store is configured: only users, grants and databases here"
    found = [
        server.query("EXPLAIN VERBOSE SELECT a FROM b..c", ROOT).error.replace(upstream, ""),
        server.query("DROP DATABASE past", ROOT).error,
    ]
    assert found == [f"error parsing query: {one}" if one else "" for one in errors]
