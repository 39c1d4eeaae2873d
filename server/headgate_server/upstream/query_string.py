"""Query parameters for upstream stores, without the credentials for Headgate.

`rewrite_query` decodes the parameters once by Go's rules, and encodes the result anew. Therefore
the store reads the same parameters as Headgate.
"""

import re
from urllib.parse import quote_plus

from headgate_server.http.urlencoded import iterate_pairs

QueryPairs = list[tuple[str, str]]

_UNRESERVED_TEXT = re.compile(r"[A-Za-z0-9_.~-]*")
# Credentials for Headgate, which an upstream must not receive.
CREDENTIAL_NAMES = frozenset({"u", "p", "auth_token"})


def strip_credentials(query: bytes) -> str:
    """Returns *query* without credentials for Headgate (`u`, `p`, `auth_token`) and empty pairs.

    The other pairs stay as sent. Use this function for stores such as Loki: a header confines each
    request to its databases, and no parameter can add another database.
    """
    kept = [pair for pair in query.split(b"&") if pair and not _has_credentials(pair)]
    return b"&".join(kept).decode("latin-1")


def _has_credentials(pair: bytes) -> bool:
    # Some servers also split pairs at a raw `;`, so every part is checked.
    return any(
        n.lower() in CREDENTIAL_NAMES for part in pair.split(b";") for n, _ in iterate_pairs(part)
    )


def rewrite_query(query: bytes, dropped: frozenset[str], add: QueryPairs) -> str:
    """Returns the encoded pairs of *query*, followed by *add*.

    These pairs are left out:

    - Pairs whose name is in *dropped*, in any case of letters and with white space around it. It
      includes CREDENTIAL_NAMES.
    - Pairs that Go's ParseQuery rejects.
    """
    kept = [
        f"{_quote(name)}={_quote(value)}"
        for name, value in iterate_pairs(query)
        if name.strip().lower() not in dropped
    ]
    if add:
        kept.append(encode_query(add))
    return "&".join(kept)


def encode_query(pairs: QueryPairs) -> str:
    """Returns *pairs* as urlencoded text, in their order."""
    return "&".join([f"{_quote(name)}={_quote(value)}" for name, value in pairs])


def _quote(text: str) -> str:
    if (text.isalnum() and text.isascii()) or _UNRESERVED_TEXT.fullmatch(text):
        return text
    return quote_plus(text.encode("utf-8", "surrogateescape"), safe="")
