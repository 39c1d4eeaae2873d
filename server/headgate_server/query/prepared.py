"""A cache of prepared queries: the parsed statements and options of a request to /query, by URL.

Clients repeat a few queries, or queries that differ only in the name at their end, such as
`SHOW GRANTS FOR alice`. A query that may contain a secret is not cached.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from headgate_engine import GenerationalCache
from headgate_grammar import (
    ParseCache,
    ShowGrants,
    Statement,
    has_secret,
    is_keyword,
)
from headgate_server.formats import ResultEncoder, encoder_for
from headgate_server.http.form import Form
from headgate_server.http.go_text import replace_invalid
from headgate_server.http.gzip import accepts_gzip
from headgate_server.http.request import Request
from headgate_server.http.urlencoded import Pairs
from headgate_server.query.cheap_parsing import parse_if_cheap, runs_inline

_MAX_ENTRIES = 1024
_MAX_KEY_LENGTH = 1024
# A query with any other parameter is not cached: the parameter is unknown, or slows the answer.
_CACHEABLE_PARAMETERS = frozenset({"q", "db", "rp", "epoch", "pretty"})

# A URL's query string in which `q` has only words and ends with a name. Its groups are the text
# before the name, the name (bare or quoted), and the text after the name.
_FINAL_NAME_PATTERN = re.compile(
    rb"((?:.*&)?q=[A-Za-z+]+\+)(?:([A-Za-z_][A-Za-z0-9_]*)|%22([A-Za-z0-9_.@-]+)%22)((?:&.*)?)"
)

_Key = tuple[bytes, str, str]
_Template = tuple[bytes, bytes, str, str]


@dataclass(slots=True, eq=False)
class PreparedQuery:
    """A prepared query, with the format of its answer.

    *params* are the URL's parameters except `q`. *runs_inline* is True if every statement can run
    in the event loop, *cached* if the query is cached.
    """

    params: Pairs = field(repr=False)
    statements: Sequence[Statement]
    database: str
    accept: str
    gzip: bool
    runs_inline: bool
    cached: bool
    parse_cached: bool  # whether its statements, or those of a similar query, were cached
    statement_names: tuple[str, ...]  # the class names of its statements

    def format(self) -> ResultEncoder:
        """Returns a new encoder, for one answer."""
        return encoder_for(self.accept, pretty=self.params.get("pretty") == "true")

    def for_user(self, name: str) -> "PreparedQuery":
        """Returns a copy of this query, a SHOW GRANTS, for the user *name*."""
        return PreparedQuery(
            self.params,
            (ShowGrants(name),),
            self.database,
            self.accept,
            self.gzip,
            runs_inline=True,
            cached=False,
            parse_cached=True,
            statement_names=self.statement_names,
        )


class PreparedQueryCache:
    """The cache of a server whose queries may have *max_chars* characters (0: no limit)."""

    def __init__(self, parse: ParseCache, max_chars: int) -> None:
        self._parse, self._max_chars = parse, max_chars
        self._queries: GenerationalCache[_Key, PreparedQuery] = GenerationalCache(_MAX_ENTRIES)
        self._seen: GenerationalCache[_Key, bool] = GenerationalCache(_MAX_ENTRIES)
        self._templates: GenerationalCache[_Template, PreparedQuery] = GenerationalCache(
            _MAX_ENTRIES
        )

    def get(self, request: Request) -> PreparedQuery | None:
        """Returns the cached query of *request*.

        If only a query with another name at its end is cached, returns a copy with the name of
        *request*. Returns None if neither is cached.
        """
        key = _key(request)
        return self._queries.get(key) or self._from_template(key)

    def _from_template(self, key: _Key) -> PreparedQuery | None:
        length = len(key[0])
        if (
            not _is_cacheable_key(key)
            or 0 < self._max_chars < length
            or 0 < self._parse.max_statement_chars < length
        ):
            return None  # `query` reports that the text is too long
        found = _split_name(key)
        if found is None:
            return None
        template, name = found
        similar = self._templates.get(template)
        return self._add(key, similar.for_user(name)) if similar is not None else None

    def prepare(self, request: Request) -> PreparedQuery | None:
        """Prepares the query of *request*, and caches it if that is safe.

        Returns None if the query cannot be parsed in the event loop. Raises BadRequest, TooLarge.
        """
        form = Form(request.url_params)
        statements, parse_cached = parse_if_cheap(self._parse, form.query_text(self._max_chars))
        if statements is None:
            return None
        key = _key(request)
        # The parser drops an invalid pair, which may contain a secret: such a URL is not cached.
        counted = request.query.count(b"&") + 1 == len(form.fields) and b";" not in request.query
        cacheable = (
            counted
            and _CACHEABLE_PARAMETERS.issuperset(form.fields)
            and not any(map(has_secret, statements))
        )
        prepared = PreparedQuery(
            {name: value for name, value in form.fields.items() if name != "q"},
            statements,
            replace_invalid(form.fields.get("db", "")),
            accept=request.accept,
            gzip=accepts_gzip(request.headers.get("accept-encoding")),
            runs_inline=all(map(runs_inline, statements)),
            cached=False,
            parse_cached=parse_cached,
            statement_names=tuple([type(statement).__name__ for statement in statements]),
        )
        if not cacheable:
            return prepared
        if len(statements) == 1 and isinstance(statements[0], ShowGrants):
            self._add_template(key, prepared)
        return self._add(key, prepared)

    def _add_template(self, key: _Key, prepared: PreparedQuery) -> None:
        """Caches *prepared* for queries with another name, if its query ends with a name."""
        found = _split_name(key)
        if found is not None and _is_cacheable_key(key):
            self._templates.put(found[0], prepared)

    def _add(self, key: _Key, prepared: PreparedQuery) -> PreparedQuery:
        """Caches *prepared* at the second use of *key*: many queries are sent only once."""
        if self._seen.get(key):
            prepared.cached = True
            self._queries.put(key, prepared)
        elif _is_cacheable_key(key):
            self._seen.put(key, True)
        return prepared


def _key(request: Request) -> _Key:
    return request.query, request.accept, request.headers.get("accept-encoding")


def _is_cacheable_key(key: _Key) -> bool:
    query, accept, encoding = key
    return len(query) + len(accept) + len(encoding) <= _MAX_KEY_LENGTH


def _split_name(key: _Key) -> tuple[_Template, str] | None:
    """Returns the text around the name at the end of the query in *key*, and the name.

    Returns None if the query does not end with a name.
    """
    query, accept, encoding = key
    found = _FINAL_NAME_PATTERN.fullmatch(query)
    if found is None:
        return None
    before, bare, quoted, after = found.groups()
    name = (bare or quoted).decode()
    if bare is not None and is_keyword(name):
        return None
    return (before, after, accept, encoding), name
