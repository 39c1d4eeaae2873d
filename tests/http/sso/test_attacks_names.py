"""Names and claims of accounts that no user may have."""

from pathlib import Path
from typing import Any

import pytest

from support.account_requests import send
from support.console_requests import Visitor
from support.fake_openid import FakeOpenID
from support.sso import come_back, provider_table, serve_with

pytest_plugins = ("support.fake_openid_fixtures",)


def test_a_new_user_has_a_name_that_a_statement_could_give(
    serve: Any, tmp_path: Path, provider: FakeOpenID
) -> None:
    server = serve_with(serve, tmp_path, provider_table(provider, name_suffix="@corp"))
    for length, status in ((1024, 400), (1024 - len("@corp"), 303)):
        provider.accounts[f"by{length}"] = {"preferred_username": "x" * length}
        assert come_back(Visitor(server), provider, f"by{length}").status == status
    names = [one["name"] for one in send(server, "GET", "/api/users").json]
    assert sorted(map(len, names)) == [len("root"), 1024]


@pytest.mark.parametrize(
    "claims",
    [
        {"preferred_username": ""},
        {"preferred_username": "a\x00b"},
        {"preferred_username": "a\nb"},
        {"preferred_username": "\u202eroot"},
        {"preferred_username": ["root"]},
        {"preferred_username": "  "},
        {"preferred_username": "ro\u200bot"},
    ],
)
def test_a_name_that_cannot_be_read_is_replaced(
    serve: Any, tmp_path: Path, provider: FakeOpenID, claims: dict[str, Any]
) -> None:
    server = serve_with(serve, tmp_path, provider_table(provider))
    provider.accounts["ann"] = claims
    visitor = Visitor(server)
    assert come_back(visitor, provider).status == 303
    assert visitor.get("/api/user").json["name"] == "corp:ann"


@pytest.mark.parametrize("name", ["ROOT", "r\u043eot", "ｒｏｏｔ", "root ", "roo\u0074\u0301"])
def test_a_look_alike_is_another_user(
    serve: Any, tmp_path: Path, provider: FakeOpenID, name: str
) -> None:
    table = provider_table(provider, adopt_existing="any")
    server = serve_with(serve, tmp_path, table)
    provider.accounts["ann"] = {"preferred_username": name}
    visitor = Visitor(server)
    assert come_back(visitor, provider).status == 303
    shown = visitor.get("/api/user").json
    assert (shown["name"], shown["admin"]) == (name, False)
