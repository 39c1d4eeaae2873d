"""A login by `u` and `p`: what a connection keeps of it between requests."""

import http.client
from collections.abc import Callable, Hashable, Sequence
from typing import Any
from urllib.parse import urlencode

import pytest

from headgate_server.auth.credentials import Password, RequestCredentials, read_credentials
from support.local_server import LocalServer

Serve = Callable[..., LocalServer]
ANN = ("ann", "Ann-Secret-1")


def credentials(memo: dict[Hashable, Any], **url: str) -> object:
    def no_headers(name: str) -> Sequence[str]:
        return ("Basic YTpi",) if name == "authorization" else ()

    return read_credentials(RequestCredentials(url, no_headers, memo))


def test_equal_requests_of_a_connection_have_the_same_credentials() -> None:
    memo: dict[Hashable, Any] = {}
    first = credentials(memo, u="ann", p="one")
    assert credentials(memo, u="ann", p="one") is first
    assert credentials(memo, u="ann", p="two") == Password("ann", "two")
    assert credentials(memo, u="bob", p="two") == Password("bob", "two")


@pytest.mark.parametrize("after", [{}, {"u": "ann"}, {"u": "ann", "p": "x" * 300}])
def test_a_connection_keeps_no_password_that_is_long_or_not_sent_again(
    after: dict[str, str],
) -> None:
    memo: dict[Hashable, Any] = {}
    credentials(memo, u="ann", p="Secret-1")
    credentials(memo, **after)
    kept = [one.password for one in memo.values() if isinstance(one, Password)]
    assert "Secret-1" not in kept or after.get("p")
    assert max(map(len, kept), default=0) < 300


def test_each_request_of_a_connection_obeys_the_changes_before_it(serve: Serve) -> None:
    server = serve().bootstrap(f"CREATE USER ann WITH PASSWORD '{ANN[1]}'")
    line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)

    def status(password: str, headers: dict[str, str] | None = None) -> int:
        query = urlencode({"q": "SHOW DATABASES", "u": "ann", "p": password})
        line.request("GET", f"/query?{query}", headers=headers or {})
        response = line.getresponse()
        response.read()
        return response.status

    steps = [
        ("", ANN[1], 200),
        ("SET PASSWORD FOR ann = 'Other-Secret-2'", ANN[1], 401),
        ("", "Other-Secret-2", 200),
        ("DROP USER ann", "Other-Secret-2", 401),
        ("CREATE USER ann WITH PASSWORD 'Other-Secret-2'", "Other-Secret-2", 200),
        ("", ANN[1], 401),
        ("", "Other-Secret-2", 200),
    ]
    for change, password, wanted in steps:
        if change:
            assert not server.query(change).error
        assert (change, status(password), status(password)) == (change, wanted, wanted)
    line.close()
