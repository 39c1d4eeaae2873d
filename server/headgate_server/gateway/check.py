"""Whether what is configured of the gateway can be, before it is."""

from headgate_server.gateway.client import tls
from headgate_server.gateway.settings import INFLUX, GatewaySettings
from headgate_server.gateway.table import table_for
from headgate_server.gateway.tokens import TenantLogin
from headgate_server.tracing import available


def check(settings: GatewaySettings) -> None:
    """Raises ValueError, one line with the upstream and its option."""
    if settings.otlp_endpoint and not available():
        raise ValueError("otlp-endpoint: expected the extra otel: pip install 'headgate[otel]'")
    for one in settings.upstreams:
        try:
            if one.protocol not in INFLUX:
                table_for(one)
            if one.jwt.enabled:
                TenantLogin(one.jwt)
            tls(one.tls_ca)
        except ValueError as error:
            raise ValueError(f"upstream {one.name!r}: {error}") from None
