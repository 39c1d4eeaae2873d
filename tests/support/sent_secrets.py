"""The secrets in what is sent to a server, and whether any of them is in what it wrote."""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from headgate_grammar import CreateSubscription, CreateUser, ParseError, SetPassword, parse

# Others are words that stand in a log for themselves: `x`, `pw`, `secret`.
_TELLING = re.compile(r"(?=.*[^a-z])[^\s\\]{6,}", re.IGNORECASE)
_PASSWORD = re.compile(r"password\s*(?:for[^=]*=\s*)?'([^'\\]+)'", re.IGNORECASE)


def shown(target: str, body: bytes, headers: Iterable[tuple[str, str]]) -> set[str]:
    """Passwords and tokens of a request: in its URL, its form, its statements, its headers."""
    pairs = dict(parse_qsl(urlsplit(target).query)) | dict(
        parse_qsl(body[:100_000].decode("latin-1"))
    )
    found = {pairs.get("p", ""), pairs.get("auth_token", "")} | set(_of_query(pairs.get("q", "")))
    for name, value in headers:
        if name.lower() == "authorization":
            found |= set(_of_authorization(value))
        elif value.count(".") == 2:
            found.add(value)  # a token in a header of its own
    found.discard("[REDACTED]")
    # The server writes the set-up token at its start: it ends with the first administrator.
    return {one for one in found if _TELLING.fullmatch(one) and not one.startswith("hgs_")}


def _of_query(text: str) -> Iterator[str]:
    yield from _PASSWORD.findall(text)  # also of what is misspelt
    try:
        statements = parse(text)
    except (ParseError, ValueError):
        return
    for statement in statements:
        if isinstance(statement, CreateUser | SetPassword):
            yield statement.password
        elif isinstance(statement, CreateSubscription):
            for url in statement.destinations:
                yield urlsplit(url).password or ""


def _of_authorization(value: str) -> Iterator[str]:
    scheme, _, rest = value.partition(" ")
    yield rest
    if scheme.lower() == "basic":
        try:
            yield base64.b64decode(rest).decode("latin-1").partition(":")[2]
        except (binascii.Error, ValueError):
            return
    elif scheme == "Token":
        yield rest.partition(":")[2]


def leaks(folder: Path) -> list[str]:
    """Which log files under *folder* hold a secret that a `.secrets` file beside them lists.

    Of another test's secrets one may be this one's user, who may be named.
    """
    found = []
    for path in filter(Path.is_file, folder.rglob("*.log")):
        lists = [json.loads(beside.read_text()) for beside in path.parent.glob("*.secrets")]
        text = path.read_text(errors="replace")
        known = {secret for secrets in lists for secret in secrets}
        found += [f"{path.name} holds {secret!r}" for secret in sorted(known) if secret in text]
    return found
