"""Addresses that a provider may not lead to: in discovery documents, and behind `Link`."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.console_requests import Visitor
from support.fake_openid import FakeOpenID
from support.fake_providers import FakeGitHub
from support.key_server import Said
from support.local_server import LocalServer
from support.sso import come_back, provider_table, serve_with
from support.waiting import poll_until

pytest_plugins = ("support.fake_openid_fixtures",)

Serve = Callable[..., LocalServer]
BAD = ["javascript:alert(1)//", "https://[", "https://x:y/", "//x/", "/x", "ftp://x/", "https:///"]


@pytest.mark.parametrize("url", BAD)
@pytest.mark.parametrize(
    "member",
    [
        *("authorization_endpoint", "token_endpoint", "userinfo_endpoint"),
        *("end_session_endpoint", "jwks_uri"),
    ],
)
def test_an_endpoint_is_a_web_address(
    serve: Serve, tmp_path: Path, provider: FakeOpenID, member: str, url: str
) -> None:
    provider.discovery[member] = url
    server = serve_with(serve, tmp_path, provider_table(provider))
    assert Visitor(server).get("/login/corp").status == 502
    assert f"discovery: {member}: no https URL" in server.log()


@pytest.mark.slow
def test_a_flood_of_sign_ins_asks_a_slow_provider_once(
    serve: Serve, tmp_path: Path, provider: FakeOpenID
) -> None:
    release = threading.Event()
    path = provider.discovery_path

    def slow(asked: Any) -> Said:
        assert release.wait(20)
        return provider.respond(asked)

    provider.always_say(path, slow)
    server = serve_with(serve, tmp_path, provider_table(provider))
    with ThreadPoolExecutor(12) as pool:
        answers = [pool.submit(Visitor(server).get, "/login/corp") for _ in range(12)]
        poll_until(lambda: bool(provider.asked), "discovery is asked for")
        assert Visitor(server).get("/login").status == 200
        release.set()
        assert {one.result().status for one in answers} == {302}
    assert [one.path for one in provider.asked].count(path) == 1


@pytest.mark.parametrize(
    "link", ["https://[", "http://localhost:1/", "//else.example/", "http://x:y"]
)
def test_a_next_page_is_of_the_same_host(serve: Serve, tmp_path: Path, link: str) -> None:
    with FakeGitHub() as github:
        table = provider_table(
            github,
            "github",
            kind="github",
            auth_url=f"{github.url}{github.authorize_path}",
            token_url=f"{github.url}{github.token_path}",
            api_url=github.api_url,
        )
        server = serve_with(serve, tmp_path, table)

        def linked(asked: Any) -> Any:
            said = github.respond(asked)
            return replace(said, headers={**said.headers, "Link": f'<{link}>; rel="next"'})

        path = f"{github.api_url.removeprefix(github.url)}/user/orgs"
        github.always_say(path, linked)
        assert come_back(Visitor(server), github, start="/login/github").status == 303
        assert len([one for one in github.asked if one.path == path]) == 1
