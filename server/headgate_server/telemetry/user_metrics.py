"""The metric of requests by user and database, which is off by default."""

from collections.abc import Callable
from http import HTTPStatus

from prometheus_client import CollectorRegistry, Counter

from headgate_server.telemetry.metric_buffer import MetricBuffer

_MAX_SERIES = 10_000
_SEVERAL, _OTHER = "(several)", "(other)"


class UserMetrics:
    """Counts requests by user and database. The names are those of existing ones.

    *exists* returns whether a user and a database exist; "" stands for none. At most 10,000 pairs
    have series of their own: `(other)` stands for further ones.
    """

    def __init__(
        self, registry: CollectorRegistry, buffer: MetricBuffer, exists: Callable[[str, str], bool]
    ) -> None:
        self._buffer, self._exists = buffer, exists
        self._known: set[tuple[str, str]] = set()
        self._requests = Counter(
            "headgate_user_requests",
            "Requests of logged-in users, by database (if one is named) and outcome.",
            ["user", "database", "outcome"],
            registry=registry,
        )

    def count(self, user: str, databases: str, status: int) -> None:
        """Counts a request of *user* for *databases*, joined by `|`, that was answered *status*."""
        pair = (user, _SEVERAL if "|" in databases else databases)
        if pair not in self._known:
            if not self._exists(user, "" if pair[1] == _SEVERAL else pair[1]):
                # A user of a token alone, or a name that the client has made up.
                pair = (user if self._exists(user, "") else _OTHER, _OTHER)
            if len(self._known) < _MAX_SERIES:
                self._known.add(pair)
            elif pair not in self._known:
                pair = (_OTHER, _OTHER)
        self._buffer.increment(self._requests, (*pair, _outcome(status)))


def _outcome(status: int) -> str:
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return "refused"
    return "answered" if status < HTTPStatus.BAD_REQUEST else "failed"
