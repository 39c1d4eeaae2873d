"""The kinds of upstream stores, by the value of the option `protocol`."""

from headgate_server.background.thread_pool import Run
from headgate_server.config.gateway import UpstreamSettings
from headgate_server.config.nearest_name import did_you_mean
from headgate_server.telemetry.tracing import Tracing
from headgate_server.upstream.adapter import UpstreamAdapter
from headgate_server.upstream.influxdb import (
    InfluxDB1Adapter,
    InfluxDB2Adapter,
    InfluxDB3Adapter,
)
from headgate_server.upstream.tenant_store import (
    LokiAdapter,
    MimirAdapter,
    PrometheusAdapter,
    PyroscopeAdapter,
)
from headgate_server.upstream.upstream import Upstream, UpstreamMetrics
from headgate_server.upstream.victoriametrics import VictoriaMetricsAdapter

ADAPTERS: dict[str, type[UpstreamAdapter]] = {
    "influxdb1": InfluxDB1Adapter,
    "influxdb2": InfluxDB2Adapter,
    "influxdb3": InfluxDB3Adapter,
    "victoriametrics": VictoriaMetricsAdapter,
    "mimir": MimirAdapter,
    "loki": LokiAdapter,
    "prometheus": PrometheusAdapter,
    "pyroscope": PyroscopeAdapter,
}


def check_upstream_settings(settings: UpstreamSettings) -> None:
    """Raises ValueError for an unknown `protocol`, or for an option that it does not support."""
    if settings.protocol not in ADAPTERS:
        hint = did_you_mean(settings.protocol, ADAPTERS)
        raise ValueError(f"protocol {settings.protocol!r}: expected {', '.join(ADAPTERS)}{hint}")
    ADAPTERS[settings.protocol].check_settings(settings)


def create_adapter(
    settings: UpstreamSettings,
    metrics: UpstreamMetrics,
    tracing: Tracing,
    run: Run,
    *,
    quiet: bool = False,
) -> UpstreamAdapter:
    """Returns the adapter for *settings*, which `check_upstream_settings` has accepted.

    With *quiet*, faults of the store are not logged. Call this function in the event loop that uses
    the adapter. Raises ValueError for a `tls-ca` that cannot be read.
    """
    kind = ADAPTERS[settings.protocol]
    upstream = Upstream(
        settings, metrics, tracing, authorization_scheme=kind.authorization_scheme, quiet=quiet
    )
    return kind(upstream, run)
