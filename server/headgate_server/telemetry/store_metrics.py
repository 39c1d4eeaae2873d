"""The metrics of the user store: how long it takes, and how current it is."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from headgate_engine import StoreCondition, StoreObserver, StoreSize
from headgate_server.telemetry.metric_buffer import MetricBuffer, MetricGroup
from headgate_server.telemetry.time_histogram import TimeHistogram


class StoreMetrics(StoreObserver):
    """Counts in metrics of *registry* what a store does. *buckets* are for times in seconds."""

    def __init__(
        self, registry: CollectorRegistry, buffer: MetricBuffer, buckets: tuple[float, ...]
    ) -> None:
        self._buffer = buffer
        seconds = TimeHistogram(
            "headgate_store_duration_seconds",
            "Time of the store for reading a user from its file (unchanged users are cached), or"
            " for a change (including the wait for others).",
            "operation",
            buckets,
            registry,
        )
        self._reads = MetricGroup(times=seconds.series("read"))
        self._changes = MetricGroup(times=seconds.series("change"))
        self._outcomes = Counter(
            "headgate_store_changes_unknown",
            "Changes given up without knowing whether they were made.",
            registry=registry,
        )
        self._conflicts = Counter(
            "headgate_store_conflicts",
            "Changes that ran again, because another process's change came first.",
            registry=registry,
        )
        self._audit_failures = Counter(
            "headgate_audit_file_failures",
            "How often the audit file could not be written: changes are refused meanwhile.",
            registry=registry,
        )
        self._reloads = Counter(
            "headgate_store_reloads",
            "How often all data of a shared store was loaded again.",
            registry=registry,
        )
        self._restarts = Counter(
            "headgate_store_watch_restarts",
            "How often the connection on which changes arrive was made again.",
            registry=registry,
        )
        self._age = Gauge(
            "headgate_store_proof_age_seconds",
            "Time since the data of a shared store was proven current.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._members = Gauge(
            "headgate_store_members",
            "Servers that keep a shared store: all, and those that respond (up).",
            ["state"],
            registry=registry,
            multiprocess_mode="mostrecent",
        )

        self._size = Gauge(
            "headgate_store_size_bytes",
            "Size of the user store: its files, or what etcd or PostgreSQL has allocated.",
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self._size_limit = Gauge(
            "headgate_store_size_limit_bytes",
            "The size at which etcd takes no more changes; 0 without a limit.",
            registry=registry,
            multiprocess_mode="mostrecent",
        )

    def read(self, seconds: float) -> None:
        """Records the time of one read."""
        self._buffer.add(self._reads, seconds)

    def changed(self, seconds: float) -> None:
        """Records the time of one change."""
        self._buffer.add(self._changes, seconds)

    def audit_file_failed(self) -> None:
        """Counts a failure of the audit file."""
        self._audit_failures.inc()

    def conflicted(self) -> None:
        """Counts a change that ran again."""
        self._conflicts.inc()

    def left_unknown(self) -> None:
        """Counts a change with an unknown outcome."""
        self._outcomes.inc()

    def reloaded(self) -> None:
        """Counts a reload."""
        self._reloads.inc()

    def refollowed(self) -> None:
        """Counts a new connection."""
        self._restarts.inc()

    def aged(self, seconds: float) -> None:
        """Sets the age of the last proof. The greatest of all workers is shown."""
        self._age.set(seconds)

    def set_size(self, size: StoreSize | None) -> None:
        """Sets how large the store is."""
        if size is not None:
            self._size.set(size.allocated)
            if size.limit:
                self._size_limit.set(size.limit)

    def set_condition(self, condition: StoreCondition | None) -> None:
        """Sets how many members keep a shared store, and how many respond."""
        if condition is not None:
            self._members.labels("up").set(condition.members_up)
            self._members.labels("all").set(condition.members)
