"""Collects the secrets that tests send to a server, and searches its log files for them."""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from headgate_grammar import CreateSubscription, CreateUser, ParseError, SetPassword, parse

# Shorter secrets and plain words (`x`, `pw`, `secret`) also occur in logs for other reasons.
_DISTINCTIVE = re.compile(r"(?=.*[^a-z])[^\s\\]{6,}", re.IGNORECASE)
_PASSWORD = re.compile(r"password\s*(?:for[^=]*=\s*)?'([^'\\]+)'", re.IGNORECASE)


def shown(target: str, body: bytes, headers: Iterable[tuple[str, str]]) -> set[str]:
    """Returns the passwords and tokens in the URL, form, statements and headers of a request."""
    pairs = dict(parse_qsl(urlsplit(target).query)) | dict(
        parse_qsl(body[:100_000].decode("latin-1"))
    )
    found = {pairs.get("p", ""), pairs.get("auth_token", "")} | _of_query(pairs.get("q", ""))
    for name, value in headers:
        if name.lower() == "authorization":
            found |= set(_of_authorization(value))
        elif value.count(".") == 2:
            found.add(value)  # a token in a header of its own
    found.discard("[REDACTED]")
    # The server logs the set-up token (`hgs_...`), which is invalid once an administrator exists.
    return {one for one in found if _DISTINCTIVE.fullmatch(one) and not one.startswith("hgs_")}


@lru_cache(1000)  # many tests send the same statements
def _of_query(text: str) -> set[str]:
    found = set(_PASSWORD.findall(text))  # InfluxQL that does not parse may have secrets too
    try:
        statements = parse(text)
    except (ParseError, ValueError):
        return found
    for statement in statements:
        if isinstance(statement, CreateUser | SetPassword):
            found.add(statement.password)
        elif isinstance(statement, CreateSubscription):
            found |= {urlsplit(url).password or "" for url in statement.destinations}
    return found


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
    """Returns a text for each secret found in a log file under *folder*.

    Only the `.secrets` files in the log's own folder count: a secret of another test may be the
    name of a user in this one, and names may be logged.
    """
    found = []
    for path in filter(Path.is_file, folder.rglob("*.log")):
        lists = [json.loads(beside.read_text()) for beside in path.parent.glob("*.secrets")]
        text = path.read_text(errors="replace")
        known = {secret for secrets in lists for secret in secrets}
        found += [f"{path.name} holds {secret!r}" for secret in sorted(known) if secret in text]
    return found
