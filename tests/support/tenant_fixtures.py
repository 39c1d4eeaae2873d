"""Creates tokens with a tenant, and the flags that Headgate accepts from auth-gateway."""

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
    """Returns a token with *claims*."""
    return made.token(secret.encode(), claims, algorithm)


def tenant(name: Any = "team-a", **claims: Any) -> str:
    """Returns a token for the tenant *name* that is valid for a minute; *claims* override."""
    return token(**({"tenant_id": name, "exp": int(time.time()) + 60} | claims))


def bearer(text: str) -> dict[str, str]:
    """Returns the Authorization header with the token *text*."""
    return {"Authorization": f"Bearer {text}"}


def jwks(pair: Any) -> bytes:
    """Returns a JWK set with the public key of the key pair *pair*."""
    return json.dumps({"keys": [made.jwk(pair)]}).encode()


def seed_flags(parts: Parts, protocol: str, *more: str) -> list[str]:
    """Returns the flags in auth-gateway's README, with the URLs of *parts*, and *more* flags."""
    names = ["distributor", "query-frontend", "rules"]
    names.append("alertmanager" if protocol == "mimir" else "querier")
    address = {"rules": "ruler"}
    return [
        *(f"-gateway.{name}.address={parts[address.get(name, name)].url}" for name in names),
        f"-gateway.auth.jwt-secret={SECRET}",
        *more,
    ]


def ask(server: Server, path: str, text: str = "", method: str = "GET", **headers: str) -> int:
    """Sends a request with the token *text*, or without a token; returns the status."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    body = b"x" if method == "POST" else None
    return server.request(method, path, body, sent | (bearer(text) if text else {})).status
