"""`headgate key --server URL`: makes, lists, rotates and revokes API keys of a running server."""

import argparse
import time
from datetime import datetime
from typing import Any

from headgate.account_flags import duration_of, grace_of, key_id, lifetime_of, print_list
from headgate.server_requests import ServerRequests
from headgate.store_file import print_line


def run(flags: argparse.Namespace, columns: tuple[str, ...]) -> int:
    """Runs the command in *flags*; returns the exit status. Raises ValueError.

    *columns* are those of a printed list.
    """
    if flags.store or flags.config:
        raise ValueError("--server: expected no --store and no --config beside it")
    server = ServerRequests(flags.server)
    match flags.command:
        case "create":
            print(server.send("POST", "/api/keys", _content(flags))["key"])
        case "list":
            _list(server, flags, columns)
        case "rotate":
            content = {"graceSeconds": grace_of(flags)}
            print(server.send("POST", f"/api/keys/{key_id(flags.id)}/rotate", content)["key"])
        case _:
            key = server.send("GET", f"/api/keys/{key_id(flags.id)}")
            server.send("DELETE", f"/api/keys/{key_id(flags.id)}")
            print_line(f"key {key['id']} {key['name']} of {key['user']} revoked")
    return 0


def _content(flags: argparse.Namespace) -> dict[str, Any]:
    content: dict[str, Any] = {"name": flags.name}
    if flags.user is not None:
        content["user"] = flags.user
    grants = {}
    for text in flags.grant:
        database, equals, privilege = text.rpartition("=")
        if not equals:
            raise ValueError("--grant: expected DB=READ, DB=WRITE or DB=ALL")
        grants[database] = privilege.upper()
    if grants and flags.role is not None:
        raise ValueError("--role: expected no --grant beside it")
    if grants:
        content["grants"] = grants
    if flags.role is not None:
        content["role"] = flags.role
    if (lifetime := lifetime_of(flags)) is not None:
        content["ttlSeconds"] = lifetime
    return content


def _list(server: ServerRequests, flags: argparse.Namespace, columns: tuple[str, ...]) -> None:
    parameters = {"user": flags.user} if flags.user is not None else {}
    # A user without the admin flag sees their own keys.
    sees_all = flags.user is not None or server.send("GET", "/api/whoami")["admin"]
    path = "/api/keys" if sees_all else "/api/user/keys"
    now, unused = time.time(), duration_of("--unused", flags.unused) if flags.unused else 0
    keys = [
        key
        for page in server.pages(path, parameters)
        for key in page
        if (not flags.expired or 0 < _time(key, "expiresAt") <= now)
        and (not unused or now - max(_time(key, "createdAt"), _time(key, "lastSeenAt")) >= unused)
    ]
    print_list(keys, columns, as_json=flags.json)


def _time(key: dict[str, Any], name: str) -> float:
    """Returns the member *name* of *key* in Unix seconds; 0 for none."""
    text = key.get(name)
    return datetime.fromisoformat(text).timestamp() if isinstance(text, str) and text else 0
