"""Queries that came in a URL: what there is to know of one before it is asked again.

Clients send the same few over and over. Nothing that may hold a secret is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from headgate_engine import Recent
from headgate_grammar import CreateUser, ParseCache, SetPassword, Statement
from headgate_server.call import Call
from headgate_server.compression import takes_gzip
from headgate_server.form import Form
from headgate_server.formats import Format, format_for
from headgate_server.pairs import Pairs
from headgate_server.soon import is_quick, parsed_soon
from headgate_server.text import readable

_MOST = 1024
_LONGEST = 1024
# What else a URL may hold is not looked at, or makes an answer take its time.
_KEPT = frozenset({"q", "db", "rp", "epoch", "pretty"})

_Key = tuple[bytes, str, str]


@dataclass(slots=True, eq=False)
class Prepared:
    """One of them, and how its answer is wanted. *quick* says whether nothing is waited for, *kept*
    whether it will be known the next time.
    """

    pairs: Pairs = field(repr=False)
    text: str = field(repr=False)  # one that is not kept may hold a password
    database: str
    statements: Sequence[Statement]
    format: Format
    gzip: bool
    quick: bool
    kept: bool
    remembered: bool  # was it parsed before it was asked first?
    kinds: tuple[str, ...]  # of its statements


class Preparations:
    """Those of a server whose queries may have *longest* characters (0: any number)."""

    def __init__(self, parse: ParseCache, longest: int) -> None:
        self._parse, self._longest = parse, longest
        self._known: Recent[_Key, Prepared] = Recent(_MOST)
        self._once: Recent[_Key, bool] = Recent(_MOST)

    def known(self, call: Call) -> Prepared | None:
        """The query of *call*, if it is kept."""
        return self._known.get(_key(call))

    def make(self, call: Call) -> Prepared | None:
        """The query of *call*, if what it is can be told at once. Raises BadRequest, TooLarge,
        ParseError.
        """
        sent = Form(call.url_pairs)
        text = sent.text(self._longest)
        statements, remembered = parsed_soon(self._parse, text)
        if statements is None:
            return None
        key = _key(call)
        _, accept, encoding = key
        # A pair that is none, and is not among the fields, may hold anything.
        counted = call.query.count(b"&") + 1 == len(sent.fields) and b";" not in call.query
        harmless = counted and _KEPT.issuperset(sent.fields) and not any(map(_secret, statements))
        prepared = Prepared(
            pairs=call.url_pairs,
            text=text,
            database=readable(sent.fields.get("db", "")),
            statements=statements,
            format=format_for(accept, pretty=sent.fields.get("pretty") == "true"),
            gzip=takes_gzip(encoding),
            quick=all(map(is_quick, statements)),
            kept=harmless and self._again(key),
            remembered=remembered,
            kinds=tuple([type(statement).__name__ for statement in statements]),
        )
        if prepared.kept:
            self._known.keep(key, prepared)
        return prepared

    def _again(self, key: _Key) -> bool:
        """Whether *key* was asked for lately: many queries never come again."""
        before = self._once.get(key) is not None
        if not before and sum(map(len, key)) <= _LONGEST:
            self._once.keep(key, True)
        return before


def _key(call: Call) -> _Key:
    return call.query, call.accept, call.headers.get("accept-encoding")


def _secret(statement: Statement) -> bool:
    return isinstance(statement, CreateUser | SetPassword)
