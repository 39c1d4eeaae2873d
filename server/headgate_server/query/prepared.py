"""A cache of prepared queries: the parsed statements and options of queries in URLs.

Clients repeat a few queries, or queries that differ only in the name at their end. A query that may
contain a secret is not cached.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from headgate_engine import Recent
from headgate_grammar import (
    ParseCache,
    ShowGrants,
    Statement,
    has_secret,
    is_keyword,
)
from headgate_server.formats import Format, format_for
from headgate_server.http.form import Form
from headgate_server.http.go_text import readable
from headgate_server.http.gzip import takes_gzip
from headgate_server.http.request import Call
from headgate_server.http.urlencoded import Pairs
from headgate_server.query.cheap_parsing import is_quick, parsed_soon

_MOST = 1024
_LONGEST = 1024
# A query with other parameters is not cached: they are unknown, or the answer takes longer.
_KEPT = frozenset({"q", "db", "rp", "epoch", "pretty"})

# A query of words only that ends with a name: the text before the name, the name, the text after.
_NAMED = re.compile(
    rb"((?:.*&)?q=[A-Za-z+]+\+)(?:([A-Za-z_][A-Za-z0-9_]*)|%22([A-Za-z0-9_.@-]+)%22)((?:&.*)?)"
)

_Key = tuple[bytes, str, str]
_Around = tuple[bytes, bytes, str, str]


@dataclass(slots=True, eq=False)
class Prepared:
    """A prepared query, with the format of its answer.

    *others* are the URL's parameters except `q`. *quick* is True if every statement can run in the
    event loop, *kept* if the query is cached.
    """

    others: Pairs = field(repr=False)
    statements: Sequence[Statement]
    database: str
    accept: str
    gzip: bool
    quick: bool
    kept: bool
    remembered: bool  # whether its statements, or those of a similar query, were cached
    kinds: tuple[str, ...]  # the class names of its statements

    def format(self) -> Format:
        """Returns a new encoder, for one answer."""
        return format_for(self.accept, pretty=self.others.get("pretty") == "true")

    def about(self, name: str) -> "Prepared":
        """Returns a copy of this query, a SHOW GRANTS, for the user *name*."""
        return Prepared(
            self.others,
            (ShowGrants(name),),
            self.database,
            self.accept,
            self.gzip,
            quick=True,
            kept=False,
            remembered=True,
            kinds=self.kinds,
        )


class Preparations:
    """The cache of a server whose queries may have *longest* characters (0: no limit)."""

    def __init__(self, parse: ParseCache, longest: int) -> None:
        self._parse, self._longest = parse, longest
        self._known: Recent[_Key, Prepared] = Recent(_MOST)
        self._once: Recent[_Key, bool] = Recent(_MOST)
        self._alike: Recent[_Around, Prepared] = Recent(_MOST)

    def known(self, call: Call) -> Prepared | None:
        """Returns the cached query of *call*, or one made from a cached query with another name.

        Returns None if there is neither.
        """
        key = _key(call)
        return self._known.get(key) or self._like(key)

    def _like(self, key: _Key) -> Prepared | None:
        length = len(key[0])
        if not _is_short(key) or 0 < self._longest < length or 0 < self._parse.longest < length:
            return None  # `query` reports that the text is too long
        found = _named(key)
        if found is None:
            return None
        around, name = found
        like = self._alike.get(around)
        return self._keep(key, like.about(name)) if like is not None else None

    def make(self, call: Call) -> Prepared | None:
        """Prepares the query of *call*; None if it cannot be parsed quickly.

        Raises BadRequest, TooLarge.
        """
        sent = Form(call.url_pairs)
        statements, remembered = parsed_soon(self._parse, sent.text(self._longest))
        if statements is None:
            return None
        key = _key(call)
        # An invalid pair is missing from the fields and may contain anything, also a secret.
        counted = call.query.count(b"&") + 1 == len(sent.fields) and b";" not in call.query
        harmless = (
            counted and _KEPT.issuperset(sent.fields) and not any(map(has_secret, statements))
        )
        prepared = Prepared(
            {name: value for name, value in sent.fields.items() if name != "q"},
            statements,
            readable(sent.fields.get("db", "")),
            accept=call.accept,
            gzip=takes_gzip(call.headers.get("accept-encoding")),
            quick=all(map(is_quick, statements)),
            kept=False,
            remembered=remembered,
            kinds=tuple([type(statement).__name__ for statement in statements]),
        )
        if not harmless:
            return prepared
        if len(statements) == 1 and isinstance(statements[0], ShowGrants):
            self._learn(key, prepared)
        return self._keep(key, prepared)

    def _learn(self, key: _Key, prepared: Prepared) -> None:
        """Stores *prepared* by the text around the name, if its query ends with a name."""
        found = _named(key)
        if found is not None and _is_short(key):
            self._alike.keep(found[0], prepared)

    def _keep(self, key: _Key, prepared: Prepared) -> Prepared:
        """Caches *prepared* at the second use of *key*: many queries are sent only once."""
        if self._once.get(key):
            prepared.kept = True
            self._known.keep(key, prepared)
        elif _is_short(key):
            self._once.keep(key, True)
        return prepared


def _key(call: Call) -> _Key:
    return call.query, call.accept, call.headers.get("accept-encoding")


def _is_short(key: _Key) -> bool:
    query, accept, encoding = key
    return len(query) + len(accept) + len(encoding) <= _LONGEST


def _named(key: _Key) -> tuple[_Around, str] | None:
    """Returns the text around the name at the end of a query, and the name; None without a name."""
    query, accept, encoding = key
    found = _NAMED.fullmatch(query)
    if found is None:
        return None
    before, bare, quoted, after = found.groups()
    name = (bare or quoted).decode()
    if bare is not None and is_keyword(name):
        return None
    return (before, after, accept, encoding), name
