"""The metrics of the configuration: its hash, its reloads, its certificates and key sets."""

import threading
import time
from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Gauge


class ConfigurationMetrics:
    """The gauges, registered in *registry*."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._reloaded = Gauge(
            "headgate_config_last_reload_successful",
            "1 if the last reload of the configuration succeeded; 0 if not, and the former stays.",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self._reloaded_at = Gauge(
            "headgate_config_last_reload_success_timestamp_seconds",
            "When the configuration in effect was read.",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self._info = Gauge(
            "headgate_config_info",
            "1 for the hash of the settings in effect that all machines of one store need alike.",
            ["hash"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._hash = ""
        self._compute_hash: Callable[[], str] | None = None
        self._lock = threading.Lock()
        self._certificate_ends = Gauge(
            "headgate_certificate_expiry_timestamp_seconds",
            "When the server's certificate in use ends, or the one for the store.",
            ["use"],
            registry=registry,
            multiprocess_mode="livemin",
        )
        self._key_set_ages = Gauge(
            "headgate_jwk_set_age_seconds",
            "Time since the key set of a token issuer was fetched, by the host of its URL.",
            ["host"],
            registry=registry,
            multiprocess_mode="mostrecent",
        )

    def read(self, compute_hash: Callable[[], str]) -> None:
        """Records that settings were read now, and are in effect.

        *compute_hash* returns their hash. `flush` calls it, so that a start need not wait for it.
        """
        with self._lock:
            self._compute_hash = compute_hash
        self._reloaded.set(1)
        self._reloaded_at.set(time.time())

    def flush(self) -> None:
        """Shows the hash of the settings in effect."""
        with self._lock:
            compute, self._compute_hash = self._compute_hash, None
            if compute is None:
                return
            hash = compute()
            if self._hash not in ("", hash):
                self._info.labels(self._hash).set(0)
            self._hash = hash
            self._info.labels(hash).set(1)

    def refused(self) -> None:
        """Records that the last reload failed."""
        self._reloaded.set(0)

    def certificate(self, use: str, ends_at: float) -> None:
        """Sets when the certificate for *use*, `server` or `store`, ends, in Unix seconds."""
        self._certificate_ends.labels(use).set(ends_at)

    def key_sets(self, ages: Mapping[str, float]) -> None:
        """Sets the ages of the fetched key sets, in seconds by host."""
        for host, age in ages.items():
            self._key_set_ages.labels(host).set(age)
