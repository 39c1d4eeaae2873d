"""GitHub and GitLab in the tests' process: their sign-in, and the pages of their lists."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from urllib.request import Request

import pytest

from support.fake_providers import FakeGitHub, FakeGitLab
from support.plain_browser import Seen, client_authorization, fetched, opened, posted

CALLBACK = "http://127.0.0.1:9/login/fake/callback"
_NEXT = re.compile(r'<([^>]*)>; rel="next"')


@pytest.fixture
def github() -> Iterator[FakeGitHub]:
    with FakeGitHub() as provider:
        yield provider


@pytest.fixture
def gitlab() -> Iterator[FakeGitLab]:
    with FakeGitLab() as provider:
        yield provider


def code_form(provider: FakeGitHub | FakeGitLab, url: str, scope: str) -> dict[str, str]:
    """Signs in from the authorization endpoint *url*; returns the form that redeems the code."""
    query = {"client_id": provider.client.id, "redirect_uri": CALLBACK, "scope": scope}
    query |= {"response_type": "code", "state": "the state"}
    callback = provider.sign_in(f"{url}?{urlencode(query)}")
    found = dict(parse_qsl(urlsplit(callback).query))
    assert callback.startswith(CALLBACK) and found["state"] == "the state"
    form = {"grant_type": "authorization_code", "code": found["code"], "redirect_uri": CALLBACK}
    return form | {"client_id": provider.client.id, "client_secret": provider.client.secret}


def github_token(provider: FakeGitHub, scope: str) -> str:
    form = code_form(provider, provider.authorization_url, scope)
    return dict(parse_qsl(posted(provider.token_url, form).text))["access_token"]


def api(url: str, token: str) -> Seen:
    return opened(Request(url, headers={"Authorization": f"Bearer {token}", "User-Agent": "test"}))


def pages(url: str, token: str) -> Iterator[list[Any]]:
    """Yields the pages of the list at *url*."""
    while url:
        answer = api(url, token)
        assert answer.status == 200, answer.text
        yield json.loads(answer.text)
        following = _NEXT.search(answer.headers.get("link", ""))
        url = following[1] if following else ""


def test_github_answers_as_a_form_or_as_json_and_reports_errors_with_200(
    github: FakeGitHub,
) -> None:
    form = code_form(github, github.authorization_url, "user:email read:org")
    answer = posted(github.token_url, form)
    content = dict(parse_qsl(answer.text))
    assert answer.headers["content-type"].startswith("application/x-www-form-urlencoded")
    assert (content["token_type"], content["scope"]) == ("bearer", "read:org,user:email")
    headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
    for changed, error in (
        ({}, "bad_verification_code"),  # a code that was used
        ({"code": "wrong"}, "bad_verification_code"),
        ({"client_secret": "wrong"}, "incorrect_client_credentials"),
    ):
        data = urlencode(form | changed).encode()
        refused = opened(Request(github.token_url, data, headers))
        assert (refused.status, json.loads(refused.text)["error"]) == (200, error)


def test_github_describes_the_user(github: FakeGitHub) -> None:
    token = github_token(github, "user:email")
    user = json.loads(api(f"{github.api_url}/user", token).text)
    assert (user["id"], user["login"], user["email"]) == (1234, "ann", None)
    [[mail]] = pages(f"{github.api_url}/user/emails", token)
    assert (mail["email"], mail["primary"], mail["verified"]) == ("ann@example.com", True, True)
    assert api(f"{github.api_url}/user", "wrong").status == 401
    assert fetched(f"{github.api_url}/user", token).status == 403  # without a User-Agent
    assert api(f"{github.api_url}/user/orgs", token).status == 403  # without the scope


def test_the_lists_of_github_have_pages(github: FakeGitHub) -> None:
    github.accounts["ann"].organizations = [f"org-{number}" for number in range(35)]
    token = github_token(github, "read:org")
    assert [len(page) for page in pages(f"{github.api_url}/user/orgs", token)] == [30, 5]
    sized = pages(f"{github.api_url}/user/orgs?per_page=10", token)
    names = [[item["login"] for item in page] for page in sized]
    assert [len(page) for page in names] == [10, 10, 10, 5] and names[3][-1] == "org-34"
    [[team]] = pages(f"{github.api_url}/user/teams", token)
    assert (team["organization"]["login"], team["slug"]) == ("acme", "staff")


def test_gitlab_has_user_information_beside_the_id_token_and_pages_of_groups(
    gitlab: FakeGitLab,
) -> None:
    gitlab.groups["ann"] = [f"acme/group-{number}" for number in range(25)]
    form = code_form(gitlab, gitlab.discovery["authorization_endpoint"], "openid email read_api")
    header = client_authorization(gitlab.client.id, gitlab.client.secret)
    answer = json.loads(posted(gitlab.discovery["token_endpoint"], form, header).text)
    info = json.loads(fetched(gitlab.discovery["userinfo_endpoint"], answer["access_token"]).text)
    assert (info["sub"], info["preferred_username"], info["nickname"]) == ("42", "ann", "ann")
    url = f"{gitlab.api_url}/groups?min_access_level=10"
    found = list(pages(url, answer["access_token"]))
    assert [len(page) for page in found] == [20, 5]
    assert found[1][-1]["full_path"] == "acme/group-24"
    first = api(url, answer["access_token"]).headers["x-next-page"]
    last = api(f"{url}&page=2", answer["access_token"]).headers["x-next-page"]
    assert (first, last) == ("2", "")
    assert api(url, "wrong").status == 401
