"""Parameters on their way to a store: decoded once, in Go's way, and written anew."""

import re
from collections.abc import Callable
from urllib.parse import quote_plus

from headgate_server.http.urlencoded import decoded_pairs

Pairs = list[tuple[str, str]]

# Credentials: they are ours.
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*")
_OURS = frozenset({"u", "p", "auth_token"})


def without_ours(query: bytes) -> str:
    """*query* without our credentials, as it is otherwise: where a store's rights do not hang on
    parameters.
    """
    kept = [pair for pair in query.split(b"&") if pair and not _is_ours(pair)]
    return b"&".join(kept).decode("latin-1")


def _is_ours(pair: bytes) -> bool:
    # A raw `;` parts pairs for some servers: none may hide behind one.
    return any(n.lower() in _OURS for part in pair.split(b";") for n, _ in decoded_pairs(part))


def rewritten(query: bytes, drop: Callable[[str], bool], add: Pairs) -> str:
    """The pairs in *query*, but for our credentials and those whose name *drop* says, then *add*.

    What Go would not take for a pair is left out.
    """
    kept = [
        (name, value)
        for name, value in decoded_pairs(query)
        if name.lower() not in _OURS and not drop(name)
    ]
    return encoded([*kept, *add])


def encoded(pairs: Pairs) -> str:
    return "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in pairs)


def _quoted(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    return quote_plus(text.encode("utf-8", "surrogateescape"), safe="")
