"""What /metrics tells, in Prometheus' format. Knows prometheus_client.

One process keeps its numbers in memory. Several workers keep theirs in files of a folder that
`shared_folder` makes, and whichever answers /metrics adds them all up.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from importlib.metadata import version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from headgate_grammar import Statement
from headgate_server.telemetry.metric_buffer import Events, Tally
from headgate_server.telemetry.metrics_folder import owned_folder

# A line more for each counter, of use to nobody.
disable_created_metrics()  # type: ignore[no-untyped-call]

# prometheus_client looks for it when it is imported, in each worker.
_FOLDER = "PROMETHEUS_MULTIPROC_DIR"

# Of tenants that a request names together, and of labels that they make.
_MOST_TENANTS, _MOST_TENANT_LABELS = 2, 10_000

_FAST = (0.00001, 0.00005, 0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)
_REQUEST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """One process's counters. No label holds what a client may choose freely."""

    def __init__(self) -> None:
        several = _FOLDER in os.environ
        own = self._own = CollectorRegistry()
        self._all = own if not several else CollectorRegistry()
        if several:
            MultiProcessCollector(self._all)  # type: ignore[no-untyped-call]
        else:
            ProcessCollector(registry=own)
        self._requests = Counter(
            "headgate_http_requests",
            "Requests answered, by route, method and status.",
            ["route", "method", "status"],
            registry=own,
        )
        self._request_seconds = Histogram(
            "headgate_http_request_duration_seconds",
            "Time from a request's head to the end of its answer, by route.",
            ["route"],
            buckets=_REQUEST,
            registry=own,
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
        self._bcrypt_pending = Gauge(
            "headgate_bcrypt_pending",
            "Logins in the queue for bcrypt, the one that it works on included.",
            registry=own,
            multiprocess_mode="livesum",
        )
        self._bcrypt_seconds = Histogram(
            "headgate_bcrypt_duration_seconds",
            "Time of the logins whose password was not remembered, waiting for bcrypt included.",
            buckets=_REQUEST,
            registry=own,
        )
        self._cache = Counter(
            "headgate_cache_lookups",
            "Look-ups in the caches of verified passwords and of parsed queries, by outcome.",
            ["cache", "outcome"],
            registry=own,
        )
        self._store_seconds = Histogram(
            "headgate_store_duration_seconds",
            "Time of the store for reading a user from its file (what has not changed is not read"
            " again), or for a change (waiting for others included).",
            ["operation"],
            buckets=_FAST,
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
            "Requests sent to a store behind Headgate, by its name, its component, and how it went:"
            " the status, or unreachable, silent, broken.",
            ["upstream", "component", "outcome"],
            registry=own,
        )
        self._upstream_seconds = Histogram(
            "headgate_upstream_duration_seconds",
            "Time until a store behind Headgate began to answer, by its name.",
            ["upstream"],
            buckets=_REQUEST,
            registry=own,
        )
        self._upstream_open = Gauge(
            "headgate_upstream_answers_open",
            "Answers of a store that are being read now, WebSockets included, by its name.",
            ["upstream"],
            registry=own,
            multiprocess_mode="livesum",
        )
        self._reloaded = Gauge(
            "headgate_config_last_reload_successful",
            "Whether the configuration that was read last could be: 1, or 0 and the former stays.",
            registry=own,
            multiprocess_mode="livemin",
        )
        self._reloaded.set(1)
        self._cortex: tuple[Counter, Counter, Counter] | None = None
        self._tenant_labels: set[str] = set()
        build = Gauge(
            "headgate_build_info",
            "Always 1; the label says which version of Headgate this is.",
            ["version"],
            registry=own,
            multiprocess_mode="max",
        )
        build.labels(version("headgate")).set(1)
        self._tally = Tally()
        self._recalled = Events(
            (self._authentications, ("password", "accepted")),
            (self._cache, ("password", "hit")),
        )
        self._executed = lru_cache(self._executed_events)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        self._tally.count_one(self._requests, (route, method, status))
        self._tally.observe(self._request_seconds, (route,), seconds)

    def upstream(self, name: str, component: str, outcome: str, seconds: float) -> None:
        self._tally.count_one(self._upstream, (name, component, outcome))
        self._tally.observe(self._upstream_seconds, (name,), seconds)

    def upstream_open(self, name: str, change: int) -> None:
        self._upstream_open.labels(name).inc(change)

    def show_cortex_names(self) -> None:
        """From now on there are also what cortex-gateway calls its figures."""
        if self._cortex is None:
            prefix, own = "cortex_gateway", self._own
            self._cortex = (
                Counter(
                    f"{prefix}_succeeded_authentications",
                    "Requests let through, by tenant.",
                    ["tenant"],
                    registry=own,
                ),
                Counter(
                    f"{prefix}_failed_authentications",
                    "Requests that showed no tenant's token, or a bad one, by reason.",
                    ["reason"],
                    registry=own,
                ),
                Counter(
                    f"{prefix}_proxy_requests",
                    "Requests handed on, by component.",
                    ["targetname"],
                    registry=own,
                ),
            )

    def handed_on(self, tenants: Sequence[str], component: str) -> None:
        """A request of *tenants* goes to *component*."""
        if self._cortex is not None:
            self._cortex[0].labels(self._tenant_label(tenants)).inc()
            self._cortex[2].labels(component).inc()

    def _tenant_label(self, tenants: Sequence[str]) -> str:
        """The label for *tenants*, whose number and order a client chooses: bounded."""
        if len(tenants) > _MOST_TENANTS:
            return "(several)"
        label = "|".join(sorted(tenants))
        if label not in self._tenant_labels:
            if len(self._tenant_labels) >= _MOST_TENANT_LABELS:
                return "(other)"
            self._tenant_labels.add(label)
        return label

    def kept_out(self, reason: str) -> None:
        """A request that showed no tenant's token, or a bad one."""
        if self._cortex is not None:
            self._cortex[1].labels(reason).inc()

    def reloaded(self, *, well: bool) -> None:
        self._reloaded.set(int(well))

    def connection(self, change: int) -> None:
        self._connections.inc(change)

    def connection_refused(self) -> None:
        self._refused_connections.inc()

    def authentication(self, method: str, outcome: str) -> None:
        self._tally.count_one(self._authentications, (method, outcome))

    def bcrypt_pending(self, change: int) -> None:
        self._bcrypt_pending.inc(change)

    def bcrypt(self) -> AbstractContextManager[object]:
        return self._bcrypt_seconds.time()

    def recalled(self) -> None:
        """Somebody was let in by a password that was remembered."""
        self._tally.count(self._recalled)

    def executed(self, kinds: Sequence[str], failed: int = 0, *, remembered: bool = True) -> None:
        """Statements of these *kinds* were executed together, the last *failed* of them in vain;
        *remembered* says whether their text was parsed before.
        """
        self._tally.count(self._executed(kinds, failed, remembered))

    def _executed_events(self, kinds: Sequence[str], failed: int, remembered: bool) -> Events:
        done = len(kinds) - failed
        outcomes = [
            (self._statements, (kind, "done" if place < done else "failed"))
            for place, kind in enumerate(kinds)
        ]
        return Events((self._cache, ("statement", "hit" if remembered else "miss")), *outcomes)

    def lookup(self, cache: str, hit: bool) -> None:
        self._tally.count_one(self._cache, (cache, "hit" if hit else "miss"))

    def statement(self, statement: Statement, *, failed: bool) -> None:
        outcome = "failed" if failed else "done"
        self._tally.count_one(self._statements, (type(statement).__name__, outcome))

    def read(self, seconds: float) -> None:
        self._tally.observe(self._store_seconds, ("read",), seconds)

    def changed(self, seconds: float) -> None:
        self._tally.observe(self._store_seconds, ("change",), seconds)

    def flush(self) -> None:
        """Puts down what was counted since the last time, for the other workers to see."""
        self._tally.flush()

    def page(self, accept: str) -> tuple[bytes, str]:
        """Everything, of all workers, and its media type: the newest that *accept* names."""
        self.flush()
        encode, media_type = choose_encoder(accept)
        return encode(self._all), media_type


@contextmanager
def shared_folder() -> Iterator[None]:
    """While it lasts, processes that are started keep their numbers together."""
    with owned_folder() as folder:
        os.environ[_FOLDER] = folder
        try:
            yield
        finally:
            del os.environ[_FOLDER]


def forget(pid: int) -> None:
    """The worker *pid* has ended: what it had open is open no more."""
    mark_process_dead(pid)  # type: ignore[no-untyped-call]
