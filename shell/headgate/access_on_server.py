"""The users of a running server with their privileges, for `headgate access --server URL`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from headgate.server_requests import ServerRequests
from headgate_engine import User
from headgate_grammar import Privilege

_ALL = (Privilege.NONE, Privilege.READ, Privilege.WRITE, Privilege.ALL)
_PRIVILEGES = {str(privilege): privilege for privilege in _ALL}


def databases_and_users(
    url: str, name: str | None, database: str | None
) -> tuple[Sequence[str], Iterator[list[User]]]:
    """Returns the names of the databases of the server at *url*, and pages of its users.

    With *name*, only this user; with *database*, only this database and users with access to it.
    Raises ValueError.
    """
    server = ServerRequests(url)
    chosen = {"name": name} if name is not None else {}
    if database is not None:
        pages = server.pages("/api/access", chosen | {"database": database})
        return [database], _read(pages, database)
    found = server.send("GET", "/api/access?limit=0")
    databases = [str(one) for one in found["databases"]] if isinstance(found, dict) else []
    return databases, _read(server.pages("/api/access", chosen, "users"), "")


def _read(pages: Iterator[list[dict[str, Any]]], database: str) -> Iterator[list[User]]:
    for page in pages:
        yield [_user(content, database) for content in page]


def _user(content: Mapping[str, Any], database: str) -> User:
    """Returns the user that *content* describes: on *database*, or with "" on all."""
    named = {database: content["privilege"]} if database else content["grants"]
    grants = {on: _PRIVILEGES.get(text, Privilege.NONE) for on, text in named.items()}
    name = content["user"] if database else content["name"]
    return User(str(content["id"]), str(name), "", bool(content["admin"]), grants)
