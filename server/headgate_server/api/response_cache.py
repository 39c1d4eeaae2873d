"""Responses to queries that only read, and denials, cached until the user store changes."""

from headgate_engine import NotAuthorized, Principal, Snapshot
from headgate_server.app_context import AppContext
from headgate_server.http.response import Response
from headgate_server.query.prepared import PreparedQuery

# The largest response body that is cached.
_MAX_CACHED_BYTES = 1 << 14


class ResponseCache:
    """The cached response to the query *prepared* of *principal*.

    It belongs to one revision of the user store, in *snapshot*. Use it only for a principal that
    was read from *snapshot*: then the principal has the rights with which the query was authorized.
    """

    def __init__(self, snapshot: Snapshot, prepared: PreparedQuery, principal: Principal) -> None:
        self._snapshot, self._prepared = snapshot, prepared
        # All unrestricted principals share one cached response.
        self._key = prepared if principal.has_full_access else (prepared, principal.name)

    def get(self, context: AppContext) -> Response | None:
        """Returns the cached response, or None. Counts the statements in the metrics.

        Raises NotAuthorized if *principal* was denied the query.
        """
        cached = self._snapshot.cached(self._key)
        if isinstance(cached, NotAuthorized):
            raise cached.with_traceback(None)
        if not isinstance(cached, Response):
            return None
        context.metrics.count_statements(self._prepared.statement_names)
        return cached

    def put_denial(self, error: NotAuthorized) -> None:
        """Caches *error*, which denies the query."""
        self._snapshot.cache(self._key, error)

    def put(self, response: Response) -> None:
        """Caches *response*, unless it is large."""
        if len(response.body) <= _MAX_CACHED_BYTES:
            self._snapshot.cache(self._key, response)
