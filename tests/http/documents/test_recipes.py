"""Runs the recipes of docs/jwt.md: configuration, a token with the claims, and the response."""

import json
import re
import ssl
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
import trustme

from headgate_server import Application, configure
from support import made_tokens as made
from support.asgi_client import AsgiClient
from support.key_server import KeyServer, Said
from support.places import REPOSITORY

PAGE = (REPOSITORY / "docs" / "jwt.md").read_text()
RECIPE = re.compile(
    r"^### (.+?)\n.*?^```toml\n(.+?)^```\n.*?^```json\n(.+?)^```\n.*?^```json\n(.+?)^```\n",
    re.M | re.S,
)
RECIPES = [pytest.param(*found, id=found[0]) for found in RECIPE.findall(PAGE)]
EC = made.key("recipes", "EC", "P-256")
RSA = made.key("recipes")


def test_there_are_recipes() -> None:
    assert len(RECIPES) == PAGE.split("\n## The rules\n")[0].count("\n### ") == 5


@pytest.mark.parametrize(("title", "settings", "claims", "answer"), RECIPES)
def test_a_recipe_does_what_it_says(
    title: str, settings: str, claims: str, answer: str, tmp_path: Path
) -> None:
    authority = trustme.CA()
    (tmp_path / "ca.pem").write_bytes(authority.cert_pem.bytes())
    (tmp_path / "token").write_text("of-the-server-itself")
    (tmp_path / "key.pem").write_text(made.pem(RSA))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    options = tomllib.loads(settings)["auth"]["jwt"]
    key, algorithm = (EC, "ES256") if options.get("algorithms") == ["ES256"] else (RSA, "RS256")
    jwks = json.dumps({"keys": [made.jwk(key, kid="k")]}).encode()
    with KeyServer([Said(200, jwks)], tls) as keys:
        here = {
            "jwk-set-url": keys.url,
            "jwk-set-bearer-token-file": str(tmp_path / "token"),
            "key-file": str(tmp_path / "key.pem"),
        }
        placed = options | {name: text for name, text in here.items() if name in options}
        if "jwk-set-url" in options:
            placed["tls-client-ca"] = str(tmp_path / "ca.pem")
        path = tmp_path / "headgate.toml"
        lines = [f"{name} = {json.dumps(value)}" for name, value in placed.items()]
        path.write_text("\n".join(["[auth]", "bcrypt-cost = 4", "[auth.jwt]", *lines]))
        flags = {"store.path": str(tmp_path / "users.db")}
        app = Application(configure(flags, {}, str(path)).settings)
        with AsgiClient(app) as client:
            check(client, options, key, algorithm, json.loads(claims), json.loads(answer))
        if "jwk-set-bearer-token-file" in options:
            assert keys.asked[0]["authorization"] == "Bearer of-the-server-itself"


def check(
    client: AsgiClient,
    options: dict[str, Any],
    key: Any,
    algorithm: str,
    claims: dict[str, Any],
    expected: dict[str, Any],
) -> None:
    root = ("root", "Toor-1")
    made_first = "CREATE USER root WITH PASSWORD 'Toor-1' WITH ALL PRIVILEGES"
    for text in (made_first, *(f"CREATE DATABASE {it}" for it in ("telegraf", "shop", "public"))):
        assert client.post("/query", data={"q": text}, auth=root).status_code == 200
    claims |= {"exp": int(time.time()) + 300}
    header = {"kid": "k"} if "jwk-set-url" in options else {}
    token = made.token(key, claims, algorithm, header)
    carried = f"Bearer {token}" if options["header-name"] == "Authorization" else token
    answer = client.get("/api/whoami", headers={options["header-name"]: carried})
    assert answer.status_code == 200, answer.text
    assert {name: answer.json()[name] for name in expected} == expected
    stranger = made.token(made.key("stranger", "EC", "P-256"), claims, "ES256", header)
    refused = client.get("/api/whoami", headers={options["header-name"]: stranger})
    assert (refused.status_code, refused.json()) == (401, {"error": "invalid token"})
