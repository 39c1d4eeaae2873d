"""A cache of prepared queries: the parsed statements and parameters of a request to /query.

Clients repeat a few queries, or queries that differ only in the name at their end, such as
`SHOW GRANTS FOR alice`. A query that may contain a secret is not cached, and neither are the
parameters `u` and `p`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from headgate_grammar import (
    GenerationalCache,
    ParseCache,
    ShowGrants,
    Statement,
    has_secret,
    is_keyword,
)
from headgate_server.http.form import FORM_MEDIA_TYPE, media_type
from headgate_server.http.request import Request
from headgate_server.http.urlencoded import Pairs, parse_urlencoded
from headgate_server.query.cheap_parsing import MAX_INLINE_STATEMENTS

_MAX_ENTRIES = 1024
_MAX_KEY_LENGTH = 1024
# A query with any other parameter is not cached: the parameter is unknown, or slows the answer.
_CACHEABLE_PARAMETERS = frozenset({"q", "db", "rp", "epoch", "pretty"})
# Parameters with which a query always takes its way through a thread or an upstream store.
_UNPREPARED_PARAMETERS = frozenset({"async", "chunked", "params"})

# A query string in which `q` has only words and ends with a name. Its groups are the text before
# the name, the name (bare or quoted), and the text after the name.
_FINAL_NAME_PATTERN = re.compile(
    rb"((?:.*&)?q=[A-Za-z+]+\+)(?:([A-Za-z_][A-Za-z0-9_]*)|%22([A-Za-z0-9_.@-]+)%22)((?:&.*)?)"
)

# The query string, the body of a form, and the headers Accept and Accept-Encoding.
_Key = tuple[bytes, bytes, str, str]
_Template = tuple[bytes, bytes, bytes, str, str]


@dataclass(slots=True, eq=False)
class PreparedQuery:
    """The parsed *statements* of a query, and its parameters *fields* except `q`, `u` and `p`.

    *url_params* are those of *fields* that are in the URL.
    *cached* is True if the query is cached: equal requests get the same object.
    """

    fields: Pairs = field(repr=False)
    url_params: Pairs = field(repr=False)
    statements: Sequence[Statement]
    cached: bool
    statement_names: tuple[str, ...]  # the class names of its statements

    def for_user(self, name: str) -> "PreparedQuery":
        """Returns a copy of this SHOW GRANTS query, for the user *name*."""
        return PreparedQuery(
            self.fields,
            self.url_params,
            (ShowGrants(name),),
            cached=False,
            statement_names=self.statement_names,
        )


class PreparedQueryCache:
    """Caches prepared queries of at most *max_chars* characters (0: no limit).

    *parse* parses the texts of queries, and caches the statements of each text.
    """

    def __init__(self, parse: ParseCache, max_chars: int) -> None:
        self._parse, self._max_chars = parse, max_chars
        self._queries: GenerationalCache[_Key, PreparedQuery] = GenerationalCache(_MAX_ENTRIES)
        self._seen: GenerationalCache[_Key, bool] = GenerationalCache(_MAX_ENTRIES)
        self._templates: GenerationalCache[_Template, PreparedQuery] = GenerationalCache(
            _MAX_ENTRIES
        )

    def get(self, request: Request) -> PreparedQuery | None:
        """Returns the cached query of *request*.

        If only a query with another name at its end is cached, returns a copy of that query with
        the name in *request*. Returns None if neither is cached. If a query is found, also sets
        `request.url_params`, without `q`.
        """
        key = _key(request)
        if key is None:
            return None
        found = self._queries.get(key) or self._from_template(key)
        if found is not None:
            login = _login_pairs(request.query)
            request.url_params = found.url_params | login if login else found.url_params
        return found

    def _from_template(self, key: _Key) -> PreparedQuery | None:
        length = max(len(key[0]), len(key[1]))
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

    def prepare(self, request: Request, fields: Pairs, text: str) -> PreparedQuery | None:
        """Returns the query *text* of *request* as a prepared query, and caches it if that is safe.

        *fields* are the parameters of the URL and of the body. Returns None in these cases:

        - the statements are not in the cache of parsed queries;
        - there are too many statements to execute them in the event loop;
        - *fields* have `async`, `chunked` or `params`.
        """
        if not _UNPREPARED_PARAMETERS.isdisjoint(fields):
            return None
        statements = self._parse.cached(text)
        if statements is None or len(statements) > MAX_INLINE_STATEMENTS:
            return None
        prepared = PreparedQuery(
            _without_secrets(fields),
            _without_secrets(request.url_params),
            statements,
            cached=False,
            statement_names=tuple([type(statement).__name__ for statement in statements]),
        )
        key = _key(request)
        if key is None or not _is_safe(key, fields) or any(map(has_secret, statements)):
            return prepared
        if len(statements) == 1 and isinstance(statements[0], ShowGrants):
            self._add_template(key, prepared)
        return self._add(key, prepared)

    def _add_template(self, key: _Key, prepared: PreparedQuery) -> None:
        """Caches *prepared* as the template of queries that differ only in the name at their end.

        Does nothing if the query does not end with a name.
        """
        found = _split_name(key)
        if found is not None and _is_cacheable_key(key):
            self._templates.put(found[0], prepared)

    def _add(self, key: _Key, prepared: PreparedQuery) -> PreparedQuery:
        """Returns *prepared*, and caches it from the second use of *key* on.

        Many queries are sent only once: they would fill the cache in vain.
        """
        if self._seen.get(key):
            prepared.cached = True
            self._queries.put(key, prepared)
        elif _is_cacheable_key(key):
            self._seen.put(key, True)
        return prepared


def _key(request: Request) -> _Key | None:
    """Returns the key of *request* in the caches.

    Returns None for a POST with a body that is incomplete or not urlencoded.
    """
    body = b""
    if request.method == "POST" and request.body != b"":
        content_type = request.headers.get("content-type")
        if request.body is None or media_type(content_type) != FORM_MEDIA_TYPE:
            return None
        body = request.body
    headers = request.headers
    return _without_login(request.query), body, request.accept, headers.get("accept-encoding")


def _without_secrets(fields: Pairs) -> Pairs:
    return {name: value for name, value in fields.items() if name not in ("q", "u", "p")}


def _login_pairs(query: bytes) -> Pairs:
    """Returns the parameters `u` and `p` of *query*, if their names are not percent-encoded."""
    if b"p=" not in query and b"u=" not in query:
        return {}
    return parse_urlencoded(b"&".join([pair for pair in query.split(b"&") if _is_login(pair)]))


def _is_login(pair: bytes) -> bool:
    return pair.startswith((b"u=", b"p="))


def _without_login(query: bytes) -> bytes:
    """Returns the query string *query* without its pairs `u` and `p`, which hold a login."""
    if b"p=" not in query and b"u=" not in query:
        return query
    return b"&".join([pair for pair in query.split(b"&") if not _is_login(pair)])


def _is_safe(key: _Key, fields: Pairs) -> bool:
    """Returns whether a query with *key* and the parameters *fields* may be cached.

    All parameters must be known, and none may be repeated. *key* must have no pair that *fields*
    lacks: the parser drops an invalid pair, which may contain a secret.
    """
    names = fields.keys() - {"u", "p"}
    texts = [text for text in key[:2] if text]
    pairs = sum(text.count(b"&") + 1 for text in texts)
    return (
        _CACHEABLE_PARAMETERS.issuperset(names)
        and pairs == len(names)
        and not any(b";" in text for text in texts)
    )


def _is_cacheable_key(key: _Key) -> bool:
    return sum(map(len, key)) <= _MAX_KEY_LENGTH


def _split_name(key: _Key) -> tuple[_Template, str] | None:
    """Returns *key* with the query split around the name at its end, and that name.

    Returns None if the query does not end with a name.
    """
    query, body, accept, encoding = key
    found = _FINAL_NAME_PATTERN.fullmatch(body or query)
    if found is None:
        return None
    before, bare, quoted, after = found.groups()
    name = (bare or quoted).decode()
    if bare is not None and is_keyword(name):
        return None
    return (query if body else b"", before, after, accept, encoding), name
