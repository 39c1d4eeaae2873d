"""Attacks on sign-up: many at the same time."""

from base64 import b64encode
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from support.account_requests import send
from support.local_server import LocalServer

PASSWORD = b64encode(b"a long enough one").decode()


def sign_up(server: LocalServer, name: str) -> int:
    content = {"name": name, "password": PASSWORD}
    return send(server, "POST", "/signup", content, None).status


def at_once(server: LocalServer, names: list[str]) -> Counter[int]:
    """Signs *names* up at the same time; returns how often each status came."""
    with ThreadPoolExecutor(len(names)) as pool:
        return Counter(pool.map(lambda name: sign_up(server, name), names))


@pytest.mark.slow
def test_sign_ups_at_the_same_time_are_limited_as_others_are(serve: Any) -> None:
    settings = {
        "HEADGATE_AUTH_SIGNUP_ENABLED": "true",
        "HEADGATE_AUTH_SIGNUP_REQUIRE_APPROVAL": "false",
        "HEADGATE_AUTH_SIGNUP_LIMIT": "3",
    }
    server = serve(**settings).bootstrap()
    # A name that is taken counts as no account.
    assert at_once(server, ["root", "root"]) == {409: 2}
    assert at_once(server, [f"user{number}" for number in range(8)]) == {201: 3, 429: 5}


@pytest.mark.slow
def test_an_approval_enables_no_user_that_was_disabled_meanwhile(serve: Any) -> None:
    server = serve(HEADGATE_AUTH_SIGNUP_ENABLED="true").bootstrap()
    assert sign_up(server, "ann") == 202
    (ann,) = send(server, "GET", "/api/users?pending=true").json
    path = f"/api/users/{ann['id']}"
    with ThreadPoolExecutor(4) as pool:
        found = Counter(pool.map(lambda _: send(server, "PUT", f"{path}/approve").status, range(4)))
    assert found == {200: 1, 409: 3}
    assert send(server, "PUT", f"{path}/disable").status == 204
    assert send(server, "PUT", f"{path}/approve").status == 409
    assert send(server, "GET", path).json["isDisabled"] is True
