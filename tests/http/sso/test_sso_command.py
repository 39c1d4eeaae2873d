"""`headgate sso check`: what a provider offers, and what claims would give."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from headgate_engine import UNRESTRICTED, Engine, Passwords, SqliteStore
from support.command_here import run_command
from support.fake_openid import FakeOpenID
from support.sso import BASE_URL, provider_table


@pytest.fixture
def store(tmp_path: Path) -> str:
    path = tmp_path / "users.db"
    with closing(SqliteStore(path)) as store:
        engine = Engine(store, Passwords(4))
        engine.query(
            "CREATE USER root WITH PASSWORD 'p' WITH ALL PRIVILEGES; CREATE DATABASE shop",
            UNRESTRICTED,
        )
    return str(path)


def check(folder: Path, store: str, table: str, *more: str) -> tuple[int, str]:
    path = folder / "headgate.toml"
    path.write_text(f'[http]\nbase-url = "{BASE_URL}"\n{table}', "utf-8")
    path.chmod(0o600)
    done = run_command("sso", "check", *more, "--config", str(path), "--store", store)
    return done.returncode, done.stdout + done.stderr


def test_the_documents_of_a_provider_are_shown(tmp_path: Path, store: str) -> None:
    with FakeOpenID() as provider:
        status, text = check(tmp_path, store, provider_table(provider), "corp")
        assert status == 0, text
        for line in (
            "keys that can verify ID tokens: 1",
            f"token endpoint: {provider.issuer}/token",
            f"device authorization: {provider.discovery['device_authorization_endpoint']}",
            "the client shows its secret: in the header Authorization",
            f"register as callback: {BASE_URL}/login/corp/callback",
            f"register for sign-outs: {BASE_URL}/login/corp/backchannel-logout",
        ):
            assert f"{line}\n" in text
        assert provider.client.secret not in text
        provider.discovery["issuer"] = "https://other.example"
        status, text = check(tmp_path, store, provider_table(provider), "corp")
        assert (status, text) == (
            1,
            f"headgate: corp, {provider.issuer}: cannot be used: discovery: issuer is not the"
            " option issuer\n",
        )
        status, text = check(tmp_path, store, provider_table(provider), "other")
        assert status == 1 and "other: no such provider; those in" in text


CLAIMS: list[tuple[dict[str, Any], int, str]] = [
    (
        {"sub": "1", "preferred_username": "ann", "groups": ["ops"], "email": "a@example.com"},
        0,
        "user: ann\ne-mail: a@example.com (unverified)\nWRITE: shop\n",
    ),
    (
        {"sub": "1", "preferred_username": "ann", "groups": ["web"]},
        0,
        "user: ann\ne-mail: none\nrights: none\nno rights on bank: ",
    ),
    ({"sub": "1", "preferred_username": "root"}, 1, "refused: its user name belongs to another"),
    ({"preferred_username": "ann"}, 1, "no valid sub"),
]


@pytest.mark.parametrize(("claims", "status", "text"), CLAIMS)
def test_claims_are_tried_without_a_change(
    tmp_path: Path, store: str, claims: dict[str, Any], status: int, text: str
) -> None:
    path = tmp_path / "claims.json"
    path.write_text(json.dumps(claims), "utf-8")
    with FakeOpenID() as provider:
        table = provider_table(
            provider, groups_attribute_path="groups", db_mapping=["ops:shop:WRITE", "web:bank:READ"]
        )
        found = check(tmp_path, store, table, "corp", "--claims", str(path))
    assert found[0] == status and text in found[1], found
    with closing(SqliteStore(store)) as opened:
        assert opened.user("ann") is None
