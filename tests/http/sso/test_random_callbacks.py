"""Random callbacks and flows: never a 500, another person's session, or another site."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.account_requests import COOKIE
from support.console_requests import Visitor
from support.fake_openid import FakeOpenID
from support.local_server import LocalServer
from support.sso import provider_table, serve_with

OWN_PATHS = ("/console", "/login", "/signup")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
# What a request takes a value from: the flow of a tab, another tab's, or anything.
SOURCES = st.sampled_from(["own", "other", "random", "none", "twice"])
STEPS = st.lists(
    st.fixed_dictionaries(
        {
            "login": st.sampled_from(["ann", "bob"]),
            "state": SOURCES,
            "code": SOURCES,
            "iss": SOURCES,
            "cookie": st.sampled_from(["own", "other", "none", "broken"]),
            "error": st.none() | TEXT,
            "path": st.sampled_from(
                [
                    *("/login/corp/callback", "/login/corp", "/login/second/callback"),
                    *("/auth/corp/callback", "/login/corp/else", "/login//callback"),
                ]
            ),
            "redirect": st.sampled_from(["/console/keys", "//evil.example", "/\\evil"]) | TEXT,
            "again": st.booleans(),
            "text": TEXT,
        }
    ),
    min_size=1,
    max_size=4,
)


@pytest.fixture
def provider() -> Iterator[FakeOpenID]:
    with FakeOpenID() as provider:
        provider.accounts["bob"] = {"preferred_username": "bob"}
        yield provider


@pytest.fixture
def server(serve: Any, tmp_path: Path, provider: FakeOpenID) -> LocalServer:
    tables = (provider_table(provider), provider_table(provider, "second"))
    return serve_with(serve, tmp_path, *tables)


def chosen(source: str, own: str, other: str, text: str) -> list[str]:
    found = {"own": [own], "other": [other], "random": [text], "twice": [own, text]}
    return found.get(source, [])


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(STEPS)
def test_no_callback_breaks_or_signs_another_person_in(
    server: LocalServer, provider: FakeOpenID, steps: list[dict[str, Any]]
) -> None:
    visitor, stranger = Visitor(server), Visitor(server)
    for step in steps:
        flows = []
        for one in (visitor, stranger):
            query = urlencode({"redirect": step["redirect"]})
            begun = one.get(f"/login/corp?{query}")
            url = provider.sign_in(begun.headers["Location"], step["login"])
            values = {key: it[0] for key, it in parse_qs(urlsplit(url).query).items()}
            flows.append((values, dict(one.cookies)))
        (own, own_cookies), (other, other_cookies) = flows
        parameters = [
            (name, value)
            for name in ("state", "code", "iss")
            for value in chosen(step[name], own.get(name, ""), other.get(name, ""), step["text"])
        ]
        if step["error"] is not None:
            parameters.append(("error", step["error"]))
        cookies = {"own": own_cookies, "other": other_cookies}.get(step["cookie"], {})
        if step["cookie"] == "broken":
            cookies = {name: value[:-4] + "AAAA" for name, value in own_cookies.items()}
        visitor.cookies = dict(cookies)
        visitor.cookies.pop(COOKIE, None)
        path = f"{step['path']}?{urlencode(parameters, errors='replace')}"
        for _ in range(2 if step["again"] else 1):
            answer = visitor.get(path)
            assert answer.status in (302, 303, 400, 403, 404, 502), (path, answer.status)
            location = answer.headers.get("Location", "")
            if answer.status == 303:
                assert location.startswith(OWN_PATHS), location
            elif answer.status == 302:
                assert location.startswith(f"{provider.issuer}/"), location
            assert "\n" not in str(answer.headers.get("Set-Cookie", ""))
        if COOKIE in visitor.cookies:
            # Only the whole of one own flow signs in, and only as its person.
            assert {step["state"], step["cookie"]} <= {"own", "other"}
            assert step["state"] == step["cookie"] == step["code"] and step["error"] is None
            assert visitor.get("/api/whoami").json["name"] == step["login"]
