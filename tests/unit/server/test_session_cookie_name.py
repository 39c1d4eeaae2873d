"""The name of the cookie of sessions."""

import dataclasses
from typing import Any

import pytest

from headgate_server.auth.session_cookie_fields import SessionCookies
from headgate_server.config.settings import Settings

HOST_NAME = "__Host-headgate_session"
HTTPS = {"base_url": "https://metrics.example"}


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "headgate_session"),
        (HTTPS, HOST_NAME),
        ({"base_url": "http://127.0.0.1:8086"}, "headgate_session"),
        ({"https_enabled": True}, HOST_NAME),
        ({"cookie_secure": "true"}, HOST_NAME),
        ({"cookie_samesite": "none"}, HOST_NAME),
        (HTTPS | {"cookie_secure": "false"}, "headgate_session"),
        (HTTPS | {"login_cookie_name": "metrics"}, "metrics"),
        (HTTPS | {"login_cookie_name": ""}, ""),
    ],
)
def test_a_cookie_for_https_alone_is_bound_to_the_host(settings: Any, name: str) -> None:
    assert SessionCookies(dataclasses.replace(Settings(), **settings)).name == name
