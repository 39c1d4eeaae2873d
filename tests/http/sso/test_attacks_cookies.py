"""Attacks on the cookies of flows."""

from pathlib import Path
from typing import Any

import pytest

from support.account_requests import cookie_of
from support.console_requests import Visitor
from support.fake_openid import FakeOpenID
from support.sso import path_of, provider_table, serve_with

pytest_plugins = ("support.fake_openid_fixtures",)


@pytest.mark.parametrize(
    "cookies", ["{0}={1}; {0}=bad", "{0}=bad; {0}={1}", "{0}={1}; {0}={1}", '{0}="{1}"; a=b']
)
def test_a_cookie_of_another_domain_does_not_keep_a_person_out(
    serve: Any, tmp_path: Path, provider: FakeOpenID, cookies: str
) -> None:
    server = serve_with(serve, tmp_path, provider_table(provider))
    visitor = Visitor(server)
    url = visitor.get("/login/corp").headers["Location"]
    callback = path_of(provider.sign_in(url, "ann"))
    ((name, value),) = visitor.cookies.items()
    sent = {"Cookie": cookies.format(name, value)}
    answer = server.request("GET", callback, None, sent)
    assert answer.status == 303
    server.secrets.add(cookie_of(answer))
    assert server.request("GET", callback, None, sent).status == 400  # once
