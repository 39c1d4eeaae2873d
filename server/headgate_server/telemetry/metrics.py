"""Metrics in Prometheus' format, for /metrics. Uses prometheus_client.

A server with one process keeps the numbers in memory. Several workers keep their numbers in files
of the folder that `shared_folder` creates. The worker that answers /metrics adds up the numbers of
all workers.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import mark_process_dead

from headgate_engine import VERSION
from headgate_grammar import Statement
from headgate_server.telemetry.account_gauges import AccountGauges
from headgate_server.telemetry.configuration_metrics import ConfigurationMetrics
from headgate_server.telemetry.metric_buffer import MetricBuffer, MetricGroup
from headgate_server.telemetry.metrics_folder import (
    FolderCollector,
    add_restart,
    create_owned_folder,
)
from headgate_server.telemetry.process_metrics import ServerProcessCollector
from headgate_server.telemetry.sign_in_metrics import SignInMetrics
from headgate_server.telemetry.store_metrics import StoreMetrics
from headgate_server.telemetry.time_histogram import TimeHistogram
from headgate_server.telemetry.user_metrics import UserMetrics

# A `_created` series would add a line to each counter, without any use.
disable_created_metrics()  # type: ignore[no-untyped-call]

# prometheus_client reads this environment variable at its import, in each worker.
_FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

# Tenants in one label, and labels of tenants in all.
_MAX_TENANTS_PER_LABEL, _MAX_TENANT_LABELS = 2, 10_000

_FAST_BUCKETS_SECONDS = (
    0.00001,
    0.00005,
    0.0001,
    0.0005,
    0.001,
    0.005,
    0.01,
    0.05,
    0.1,
    0.5,
    1.0,
    5.0,
)
_REQUEST_BUCKETS_SECONDS = (
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
)


class Metrics:
    """The metrics of one process. No label holds a text that clients choose freely.

    Therefore clients cannot cause an unlimited number of time series.
    """

    def __init__(self) -> None:
        several = _FOLDER_VARIABLE in os.environ
        own = self._own = CollectorRegistry()
        self._all = own if not several else CollectorRegistry()
        if several:
            folder = FolderCollector(Path(os.environ[_FOLDER_VARIABLE]))
            self._all.register(folder)
            self._all.register(ServerProcessCollector(folder.pids))
        else:
            ProcessCollector(registry=own)
        self._requests = Counter(
            "headgate_http_requests",
            "Requests answered, by route, method and status.",
            ["route", "method", "status"],
            registry=own,
        )
        self._request_seconds = TimeHistogram(
            "headgate_http_request_duration_seconds",
            "Time from a request's head to the end of its response, by route.",
            "route",
            _REQUEST_BUCKETS_SECONDS,
            own,
        )
        self._connections = Gauge(
            "headgate_http_connections",
            "Connections open now.",
            registry=own,
            multiprocess_mode="livesum",
        )
        self._refused_connections = Counter(
            "headgate_http_connections_refused",
            "Connections closed because of max-connection-limit, new or idle.",
            registry=own,
        )
        self._authentications = Counter(
            "headgate_authentications",
            "Attempts to log in, by method and outcome (accepted, refused, throttled, overloaded).",
            ["method", "outcome"],
            registry=own,
        )
        self._key_lookups = Counter(
            "headgate_api_key_lookups",
            "API keys that were looked up, by outcome: good, unknown, expired or revoked.",
            ["outcome"],
            registry=own,
        )
        self._sessions = Counter(
            "headgate_sessions",
            "Events of sessions: begun, ended, rotated, revoked_user, revoked_reuse.",
            ["event"],
            registry=own,
        )
        self.accounts = AccountGauges(own)
        self.sign_in = SignInMetrics(own)
        self._bcrypt_pending = Gauge(
            "headgate_bcrypt_pending",
            "Logins in the queue for bcrypt, including the one that is being verified.",
            registry=own,
            multiprocess_mode="livesum",
        )
        self._bcrypt_seconds = Histogram(
            "headgate_bcrypt_duration_seconds",
            "Time of the logins without a cached password, including the wait for bcrypt.",
            buckets=_REQUEST_BUCKETS_SECONDS,
            registry=own,
        )
        self._cache = Counter(
            "headgate_cache_lookups",
            "Look-ups in the caches of verified passwords and of parsed queries, by outcome.",
            ["cache", "outcome"],
            registry=own,
        )
        self._statements = Counter(
            "headgate_statements",
            "Statements executed, by kind and outcome (done, failed).",
            ["statement", "outcome"],
            registry=own,
        )
        self._upstream = Counter(
            "headgate_upstream_requests",
            "Requests sent to an upstream, by its name, its component, and the outcome: the status,"
            " or unreachable, silent, broken.",
            ["upstream", "component", "outcome"],
            registry=own,
        )
        self._upstream_seconds = TimeHistogram(
            "headgate_upstream_duration_seconds",
            "Time until an upstream began to respond, by its name.",
            "upstream",
            _REQUEST_BUCKETS_SECONDS,
            own,
        )
        self._upstream_open = Gauge(
            "headgate_upstream_answers_open",
            "Responses of an upstream that are being read now, including WebSockets, by its name.",
            ["upstream"],
            registry=own,
            multiprocess_mode="livesum",
        )
        # Counted here, and set in the gauge by `flush`. All changes come from the event loop.
        self._open_by_upstream: dict[str, int] = {}
        self.configuration = ConfigurationMetrics(own)
        self._cortex: tuple[Counter, Counter, Counter] | None = None
        self._users: UserMetrics | None = None
        self._counts_users = False
        self._tenant_labels: set[str] = set()
        build = Gauge(
            "headgate_build_info",
            "Always 1; the label is the version of Headgate.",
            ["version"],
            registry=own,
            multiprocess_mode="max",
        )
        build.labels(VERSION).set(1)
        self._buffer = MetricBuffer()
        self.store = StoreMetrics(own, self._buffer, _FAST_BUCKETS_SECONDS)
        self._cached_logins = MetricGroup(
            (self._authentications, ("password", "accepted")),
            (self._cache, ("password", "hit")),
        )
        self._statement_groups = lru_cache(self._build_statement_group)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Counts a response. *seconds* is the time from the request head to the response end."""
        labels = (route, method, status)
        self._buffer.increment(self._requests, labels, self._request_seconds, seconds)

    def upstream(self, name: str, component: str, outcome: str, seconds: float) -> None:
        """Counts a request to the upstream *name*, and the *seconds* until its response began."""
        labels = (name, component, outcome)
        self._buffer.increment(self._upstream, labels, self._upstream_seconds, seconds)

    def upstream_open(self, name: str, change: int) -> None:
        """Adds *change* to the number of open responses of the upstream *name*."""
        self._open_by_upstream[name] = self._open_by_upstream.get(name, 0) + change

    def show_cortex_names(self) -> None:
        """Adds metrics with the names of cortex-gateway, such as `cortex_gateway_proxy_requests`.

        From now on, these metrics also count forwarded requests and rejected tokens of tenants.
        """
        if self._cortex is None:
            prefix, own = "cortex_gateway", self._own
            self._cortex = (
                Counter(
                    f"{prefix}_succeeded_authentications",
                    "Requests forwarded, by tenant.",
                    ["tenant"],
                    registry=own,
                ),
                Counter(
                    f"{prefix}_failed_authentications",
                    "Requests without a tenant's token, or with an invalid one, by reason.",
                    ["reason"],
                    registry=own,
                ),
                Counter(
                    f"{prefix}_proxy_requests",
                    "Requests forwarded, by component.",
                    ["targetname"],
                    registry=own,
                ),
            )

    def show_users(self, exists: Callable[[str, str], bool], *, shown: bool = True) -> None:
        """Adds the metric of requests by user and database; see `UserMetrics`.

        Without *shown*, nothing more is counted.
        """
        if shown and self._users is None:
            self._users = UserMetrics(self._own, self._buffer, exists)
        self._counts_users = shown

    def user_request(self, user: str, databases: str, status: int) -> None:
        """Counts a request of *user*. Does nothing before `show_users` is called."""
        if self._counts_users and self._users is not None and user:
            self._users.count(user, databases, status)

    def count_forwarded(self, tenants: str, component: str) -> None:
        """Counts a request of *tenants*, joined by `|`, that is forwarded to *component*.

        Does nothing before `show_cortex_names` is called.
        """
        if self._cortex is not None:
            self._cortex[0].labels(self._tenant_label(tenants.split("|"))).inc()
            self._cortex[2].labels(component).inc()

    def _tenant_label(self, tenants: Sequence[str]) -> str:
        """Returns the label for *tenants*, which a client may list in any number and order.

        The number of different labels is limited: `(several)` stands for more than two tenants,
        `(other)` for tenants beyond the limit.
        """
        if len(tenants) > _MAX_TENANTS_PER_LABEL:
            return "(several)"
        label = "|".join(sorted(tenants))
        if label not in self._tenant_labels:
            if len(self._tenant_labels) >= _MAX_TENANT_LABELS:
                return "(other)"
            self._tenant_labels.add(label)
        return label

    def count_rejected_tenant(self, reason: str) -> None:
        """Counts a request that was rejected because its tenant token is missing or invalid.

        *reason* is the label of the count. Does nothing before `show_cortex_names` is called.
        """
        if self._cortex is not None:
            self._cortex[1].labels(reason).inc()

    def connection(self, change: int) -> None:
        """Adds *change* to the number of open connections."""
        self._connections.inc(change)

    def connection_refused(self) -> None:
        """Counts a connection that is closed because of the connection limit."""
        self._refused_connections.inc()

    def authentication(self, method: str, outcome: str) -> None:
        """Counts an attempt to log in by *method*, such as `password`, and its *outcome*."""
        self._buffer.increment(self._authentications, (method, outcome))

    def key_lookup(self, outcome: str) -> None:
        """Counts a look-up of an API key, and its *outcome*."""
        self._buffer.increment(self._key_lookups, (outcome,))

    def session(self, event: str, count: int = 1) -> None:
        """Counts *event* of *count* sessions."""
        for _ in range(count):
            self._buffer.increment(self._sessions, (event,))

    def bcrypt_pending(self, change: int) -> None:
        """Adds *change* to the number of logins in the queue for bcrypt."""
        self._bcrypt_pending.inc(change)

    def bcrypt(self) -> AbstractContextManager[object]:
        """Returns a context manager that records the time of a login by bcrypt."""
        return self._bcrypt_seconds.time()

    def count_cached_login(self) -> None:
        """Counts a login by a cached password."""
        self._buffer.add(self._cached_logins)

    def count_statements(
        self, kinds: Sequence[str], failed: int = 0, *, cached: bool = True
    ) -> None:
        """Counts statements of *kinds* that were executed together.

        The last *failed* statements are counted as failed. *cached* is whether the text of the
        statements was found in the cache of parsed queries.
        """
        self._buffer.add(self._statement_groups(kinds, failed, cached))

    def _build_statement_group(
        self, kinds: Sequence[str], failed: int, cached: bool
    ) -> MetricGroup:
        done = len(kinds) - failed
        outcomes = [
            (self._statements, (kind, "done" if place < done else "failed"))
            for place, kind in enumerate(kinds)
        ]
        return MetricGroup((self._cache, ("statement", "hit" if cached else "miss")), *outcomes)

    def lookup(self, cache: str, hit: bool) -> None:
        """Counts a look-up in *cache*; *hit* is whether it found an entry."""
        self._buffer.increment(self._cache, (cache, "hit" if hit else "miss"))

    def statement(self, statement: Statement, *, failed: bool) -> None:
        """Counts an executed *statement* by its type.

        *failed* is whether the result of the statement is an error.
        """
        outcome = "failed" if failed else "done"
        self._buffer.increment(self._statements, (type(statement).__name__, outcome))

    def flush(self) -> None:
        """Adds the buffered counts to the metrics, so that every worker can report them."""
        self._buffer.flush()
        if self._all is not self._own:  # otherwise `render` alone reads it
            self.configuration.flush()
        for name, number in self._open_by_upstream.items():
            self._upstream_open.labels(name).set(number)

    def render(self, accept: str) -> tuple[bytes, str]:
        """Returns the metrics of all workers, and the media type of their format.

        *accept* is the request's header `Accept`; the format is the newest one that it names.
        """
        self.flush()
        self.configuration.flush()
        encode, media_type = choose_encoder(accept)
        return encode(self._all), media_type


@contextmanager
def shared_folder() -> Iterator[None]:
    """Creates a folder for the metrics of the processes that are started within the context."""
    with create_owned_folder() as folder:
        os.environ[_FOLDER_VARIABLE] = folder
        try:
            yield
        finally:
            del os.environ[_FOLDER_VARIABLE]


def remove_worker(pid: int) -> None:
    """Removes the gauges of the ended worker *pid*, such as its number of open connections."""
    mark_process_dead(pid)  # type: ignore[no-untyped-call]


def count_restart() -> None:
    """Counts a worker that is started in place of one that has ended."""
    add_restart(Path(os.environ[_FOLDER_VARIABLE]))
