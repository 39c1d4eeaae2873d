"""Tokens that name a tenant, and Headgate as auth-gateway's flags make it."""

import json
import time
from typing import Any

from support import made_tokens as made
from support.recorder_upstream import Recorder
from support.servers import Server

SECRET = "a secret of more than thirty-two bytes, for Mimir"
QUERY, PUSH = "/prometheus/api/v1/query", "/api/v1/push"
LOKI_QUERY, LOKI_PUSH = "/loki/api/v1/query", "/loki/api/v1/push"
Parts = dict[str, Recorder]


def token(secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    return made.token(secret.encode(), claims, algorithm)


def tenant(name: Any = "team-a", **claims: Any) -> str:
    return token(**({"tenant_id": name, "exp": int(time.time()) + 60} | claims))


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def jwks(pair: Any) -> bytes:
    return json.dumps({"keys": [made.jwk(pair)]}).encode()


def seed_flags(parts: Parts, protocol: str, *more: str) -> list[str]:
    """The flags of the original's README."""
    names = ["distributor", "query-frontend", "rules"]
    names.append("alertmanager" if protocol == "mimir" else "querier")
    address = {"rules": "ruler"}
    return [
        *(f"-gateway.{name}.address={parts[address.get(name, name)].url}" for name in names),
        f"-gateway.auth.jwt-secret={SECRET}",
        *more,
    ]


def ask(server: Server, path: str, text: str = "", method: str = "GET", **headers: str) -> int:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    body = b"x" if method == "POST" else None
    return server.request(method, path, body, sent | (bearer(text) if text else {})).status
