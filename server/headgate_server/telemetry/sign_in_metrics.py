"""The metrics of sign-ups, and of sign-ins by providers."""

from contextlib import AbstractContextManager

from prometheus_client import CollectorRegistry, Counter, Histogram

_LDAP_BUCKETS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class SignInMetrics:
    """The counters, registered in *registry*. Providers are configured, so labels are bounded."""

    def __init__(self, registry: CollectorRegistry | None) -> None:
        self._sign_ups = Counter(
            "headgate_sign_ups",
            "Sign-ups by outcome: created, pending or refused.",
            ["outcome"],
            registry=registry,
        )
        self._oauth = Counter(
            "headgate_oauth",
            "Sign-ins by a provider, by step (start, callback, logout) and outcome.",
            ["provider", "step", "outcome"],
            registry=registry,
        )
        self._refreshes = Counter(
            "headgate_oauth_refreshes",
            "Confirmations of access by a provider: confirmed, refused or unavailable.",
            ["provider", "outcome"],
            registry=registry,
        )
        self._ldap_seconds = Histogram(
            "headgate_ldap_seconds",
            "Time of the steps of a login by LDAP: search, bind and groups.",
            ["step"],
            buckets=_LDAP_BUCKETS_SECONDS,
            registry=registry,
        )

    def sign_up(self, outcome: str) -> None:
        """Counts a sign-up."""
        self._sign_ups.labels(outcome).inc()

    def oauth(self, provider: str, step: str, outcome: str) -> None:
        """Counts a step of a sign-in by *provider*."""
        self._oauth.labels(provider, step, outcome).inc()

    def refresh(self, provider: str, outcome: str) -> None:
        """Counts a request to *provider* whether a session keeps its access."""
        self._refreshes.labels(provider, outcome).inc()

    def ldap(self, step: str) -> AbstractContextManager[object]:
        """Returns the context that times *step* of a login by LDAP, also of one that fails."""
        return self._ldap_seconds.labels(step).time()
