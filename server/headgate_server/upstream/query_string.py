"""Query parameters sent upstream: decoded once by Go's rules, then encoded anew."""

import re
from collections.abc import Callable
from urllib.parse import quote_plus

from headgate_server.http.urlencoded import decoded_pairs

Pairs = list[tuple[str, str]]

_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*")
# Credentials for Headgate, which an upstream must not receive.
_OURS = frozenset({"u", "p", "auth_token"})


def without_ours(query: bytes) -> str:
    """Returns *query* without the pairs that hold Headgate's credentials and without empty pairs.

    The other pairs stay as sent: for stores whose authorization does not depend on parameters.
    """
    kept = [pair for pair in query.split(b"&") if pair and not _is_ours(pair)]
    return b"&".join(kept).decode("latin-1")


def _is_ours(pair: bytes) -> bool:
    # Some servers also split pairs at a raw `;`, so every part is checked.
    return any(n.lower() in _OURS for part in pair.split(b";") for n, _ in decoded_pairs(part))


def rewritten(query: bytes, drop: Callable[[str], bool], add: Pairs) -> str:
    """Returns the encoded pairs of *query*, followed by *add*.

    Headgate's credentials and the names for which *drop* returns True are left out, as are pairs
    that Go's ParseQuery rejects.
    """
    kept = [
        (name, value)
        for name, value in decoded_pairs(query)
        if name.lower() not in _OURS and not drop(name)
    ]
    return encoded([*kept, *add])


def encoded(pairs: Pairs) -> str:
    """Returns *pairs* as urlencoded text, in their order."""
    return "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in pairs)


def _quoted(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    return quote_plus(text.encode("utf-8", "surrogateescape"), safe="")
