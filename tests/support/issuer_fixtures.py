"""Configures Headgate to accept tokens of an issuer, and creates the claims of its tokens."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from support import made_tokens as made
from support.servers import Answer, Server

S = TypeVar("S", bound=Server)

_HOUR_SECONDS = 3600


def issuer_key() -> Any:
    """Returns the private key of the issuer; always the same in one process."""
    return made.key("idp")


def claims(**more: Any) -> dict[str, Any]:
    """Returns the claims of a token of todd that is valid for an hour; *more* override them."""
    return {"sub": "todd", "exp": int(time.time()) + _HOUR_SECONDS} | more


def whoami(server: Server, token: str) -> Answer:
    """Sends *token* to `/api/whoami`; returns the response."""
    return server.request("GET", "/api/whoami", headers={"X-Token": token})


def key_file_settings(folder: Path) -> str:
    """Returns lines of `[auth.jwt]` that name the key file in *folder* and enable new users."""
    return f'key-file = "{folder}/key.pem"\nusername-claim = "sub"\nauto-sign-up = true\n'


def jwt_configuration(text: str, top: str = "") -> str:
    """Returns a configuration with the lines *text* in `[auth.jwt]`, after the lines *top*."""
    return f'{top}\n[auth.jwt]\nenabled = true\nheader-name = "X-Token"\n{text}\n'


def start_with_jwt(
    serve: Callable[..., S], folder: Path, text: str, *flags: str, top: str = ""
) -> S:
    """Returns the server that *serve* starts with the lines *text* in `[auth.jwt]`, and *flags*.

    It has the databases a and b. The key file is in *folder*.
    """
    path = folder / "headgate.toml"
    path.write_text(jwt_configuration(text, top))
    (folder / "key.pem").write_text(made.pem(issuer_key()))
    return serve("--config", str(path), *flags).bootstrap("CREATE DATABASE a; CREATE DATABASE b")
