"""A server with providers, and a browser that signs in by them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from support.console_requests import Visitor
from support.fake_openid import FakeOpenID
from support.fake_providers import FakeGitHub
from support.local_server import LocalServer
from support.servers import Answer

BASE_URL = "http://headgate.example"


def provider_table(provider: FakeOpenID | FakeGitHub, name: str = "corp", **options: Any) -> str:
    """Returns the section of *provider* in a configuration file, with *options*."""
    values = {
        **({"issuer": provider.issuer} if isinstance(provider, FakeOpenID) else {}),
        "client-id": provider.client.id,
        "client-secret": provider.client.secret,
        "allow-insecure-urls": True,
        "allow-sign-up": True,
    } | {key.replace("_", "-"): value for key, value in options.items()}
    return table(f"auth.oauth.{name}", values)


def table(name: str, values: Mapping[str, Any]) -> str:
    """Returns the section *name* of a configuration file with *values*."""
    lines = "\n".join(f"{key} = {_toml(value)}" for key, value in values.items())
    return f"[{name}]\n{lines}\n"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return f"'{value}'" if isinstance(value, str) else str(value)


def serve_with(
    serve: Callable[..., LocalServer], folder: Path, *tables: str, auth: str = "", **options: str
) -> LocalServer:
    """Starts a server with *tables* in its file, and the administrator root."""
    path = folder / "headgate.toml"
    path.write_text(
        f'[http]\nbase-url = "{BASE_URL}"\n[auth]\n{auth}\n' + "\n".join(tables), "utf-8"
    )
    path.chmod(0o600)
    return serve("--config", str(path), **options).bootstrap("CREATE DATABASE shop")


def come_back(
    visitor: Visitor,
    provider: FakeOpenID | FakeGitHub,
    login: str = "ann",
    start: str = "/login/corp",
) -> Answer:
    """Signs *login* in at *provider*, and returns our answer to the callback."""
    answer = visitor.get(start)
    assert answer.status == 302, answer.body
    url = answer.headers["Location"]
    if isinstance(provider, FakeOpenID):
        return visitor.get(path_of(provider.sign_in(url, login)))
    provider.login = login
    return visitor.get(path_of(provider.sign_in(url)))


def path_of(url: str) -> str:
    """Returns the path and the query of *url*."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path
