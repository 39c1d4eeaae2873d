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

        self._users, self._admins, self._databases = (
            Gauge(name, text, registry=registry, multiprocess_mode="mostrecent")
            for name, text in (
                ("headgate_users", "Users in the user store."),
                ("headgate_admins", "Active users with the admin flag."),
                ("headgate_databases", "Databases in the user store."),
            )
        )

    def set(self, counts: AccountCounts, *, users: int, admins: int, databases: int) -> None:
        """Sets the gauges to *counts*, and to the numbers of *users* and so on."""
        self._users.set(users)
        self._admins.set(admins)
        self._databases.set(databases)
        self._sessions.set(counts.sessions_active)
        self._keys.labels("active").set(counts.keys_active)
        self._keys.labels("expiring_7d").set(counts.keys_expiring)
        self._keys.labels("expired").set(counts.keys_expired)
