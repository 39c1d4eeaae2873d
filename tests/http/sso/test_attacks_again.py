"""Attacks on the sign-in that a person repeats before they change how they sign in."""

import time
from pathlib import Path
from typing import Any

import pytest

from support.console_requests import Visitor
from support.fake_openid import FakeOpenID
from support.sso import come_back, provider_table, serve_with

pytest_plugins = ("support.fake_openid_fixtures",)

AGAIN = "/login/corp?again=1&redirect=/console/account"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("claims", "without", "status"),
    [
        ({}, (), 303),
        ({"auth_time": time.time() - 3600}, (), 403),
        ({"auth_time": 0}, (), 403),
        ({"auth_time": "now"}, (), 403),
        ({"auth_time": True}, (), 403),
        ({"auth_time": None}, (), 403),
        ({}, ("auth_time",), 403),
    ],
)
def test_the_provider_has_to_ask_again_whatever_the_browser_asked_it(
    serve: Any,
    tmp_path: Path,
    provider: FakeOpenID,
    claims: dict[str, Any],
    without: tuple[str, ...],
    status: int,
) -> None:
    visitor = Visitor(serve_with(serve, tmp_path, provider_table(provider)))
    provider.change_id_token(claims, without=without)
    assert come_back(visitor, provider).status == 303  # a first sign-in does not need it
    provider.change_id_token(claims, without=without)
    assert come_back(visitor, provider, start=AGAIN).status == status
