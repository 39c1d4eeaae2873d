"""Caches denials and the responses to read-only queries, until the user store changes."""

from dataclasses import dataclass

from headgate_engine import NotAuthorized, Principal, Snapshot
from headgate_server.http.response import Response
from headgate_server.query.prepared import PreparedQuery
from headgate_server.telemetry.metrics import Metrics

# The largest response body that is cached.
_MAX_CACHED_BYTES = 1 << 14


@dataclass(frozen=True, slots=True)
class _Denial:
    """A statement that the user may not execute, and the privilege that it requires."""

    statement: str
    required: str


class ResponseCache:
    """Reads and writes the cached response to one query, *prepared*, of *principal*.

    *snapshot* holds it, for one revision of the user store. Use it only for a principal that was
    read from *snapshot*: then the principal has the rights with which the query was authorized.
    """

    def __init__(self, snapshot: Snapshot, prepared: PreparedQuery, principal: Principal) -> None:
        self._snapshot, self._prepared, self._name = snapshot, prepared, principal.name
        # All unrestricted principals share one cached response.
        # A key has other rights than its owner.
        key = principal.key.hash if principal.key is not None else None
        self._key = prepared if principal.has_full_access else (prepared, principal.name, key)

    def get(self, metrics: Metrics) -> Response | None:
        """Returns the cached response, or None. Counts a response's statements in *metrics*.

        Raises NotAuthorized if a denial of the query is cached.
        """
        cached = self._snapshot.cached(self._key)
        if isinstance(cached, _Denial):
            raise NotAuthorized(self._name, cached.statement, cached.required)
        if not isinstance(cached, Response):
            return None
        metrics.count_statements(self._prepared.statement_names)
        return cached

    def put_denial(self, error: NotAuthorized) -> None:
        """Caches a denial: the statement and the required privilege in *error*."""
        # Without the error itself: its traceback holds the request, and so a password.
        self._snapshot.cache(self._key, _Denial(error.statement, error.required))

    def put(self, response: Response) -> None:
        """Caches *response*, unless its body is larger than 16 KiB."""
        if len(response.body) <= _MAX_CACHED_BYTES:
            self._snapshot.cache(self._key, response)
