"""Parameters on their way to a store: decoded once, in Go's way, and written anew."""

from collections.abc import Callable, Iterable
from urllib.parse import quote_plus

from headgate_server.form import decoded_pairs

Pairs = list[tuple[str, str]]

# Credentials: they are ours.
_OURS = frozenset({"u", "p", "auth_token"})


def without(query: bytes, names: Iterable[str] = ()) -> str:
    """*query* without our credentials and *names*, as it is otherwise: where a store's rights do
    not hang on parameters.
    """
    left_out = _OURS | set(names)
    kept = [pair for pair in query.split(b"&") if pair and not _is(pair, left_out)]
    return b"&".join(kept).decode("latin-1")


def _is(pair: bytes, names: Iterable[str]) -> bool:
    # A raw `;` parts pairs for some servers: none may hide behind one.
    return any(
        name.lower() in names for part in pair.split(b";") for name, _ in decoded_pairs(part)
    )


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
    return quote_plus(text.encode("utf-8", "surrogateescape"), safe="")
