"""The metrics of accounts: how many sessions and API keys there are."""

from prometheus_client import CollectorRegistry, Gauge

from headgate_engine import AccountCounts


class AccountGauges:
    """The gauges, registered in *registry*. Each worker sets the figures of all."""

    def __init__(self, registry: CollectorRegistry | None) -> None:
        self._sessions = Gauge(
            "headgate_sessions_active",
            "Active sessions.",
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self._keys = Gauge(
            "headgate_api_keys",
            "API keys by state: active, expiring_7d (of the active ones) or expired.",
            ["state"],
            registry=registry,
            multiprocess_mode="mostrecent",
        )

    def set(self, counts: AccountCounts) -> None:
        """Sets the gauges to *counts*."""
        self._sessions.set(counts.sessions_active)
        self._keys.labels("active").set(counts.keys_active)
        self._keys.labels("expiring_7d").set(counts.keys_expiring)
        self._keys.labels("expired").set(counts.keys_expired)
