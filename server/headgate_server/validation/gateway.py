"""Validates the settings of `[gateway]`, and tests the connections to the upstream stores."""

import json

from headgate_server.auth.tenant_tokens import TenantTokenVerifier
from headgate_server.config.gateway import INFLUX_PROTOCOLS, GatewaySettings
from headgate_server.gateway.route_table import load_route_table
from headgate_server.telemetry.tracing import NoTracing, available
from headgate_server.upstream.connection_pool import load_tls_context
from headgate_server.upstream.errors import UpstreamAuthError, UpstreamError
from headgate_server.upstream.health_checks import (
    address_groups,
    confinement_warning,
    probe_address,
    protocol_mismatch,
    send_probe,
)
from headgate_server.upstream.upstream import Upstream

_MAX_RESPONSE_BYTES = 1 << 22


def check_gateway(settings: GatewaySettings) -> None:
    """Raises ValueError if *settings* are invalid: one line with the upstream and its option."""
    if settings.otlp_endpoint and not available():
        raise ValueError("otlp-endpoint: expected the extra otel: pip install 'headgate[otel]'")
    for one in settings.upstreams:
        try:
            if one.protocol not in INFLUX_PROTOCOLS:
                load_route_table(one)
            if one.jwt.enabled:
                TenantTokenVerifier(one.jwt)
            load_tls_context(one.tls_ca)
        except ValueError as error:
            raise ValueError(f"upstream {one.name!r}: {error}") from None


async def check_connections(settings: GatewaySettings) -> list[str]:
    """Connects to each upstream store, and returns a sentence for each problem.

    Detects these problems:

    - an address is unreachable, its certificate is invalid, or it rejects the login;
    - the store has a protocol or version other than the option `protocol` says;
    - the store does not separate its tenants.

    Raises ValueError if a store's settings are invalid, as `check_gateway` does.
    """
    problems: list[str] = []
    for one in settings.upstreams:
        upstream = Upstream(one, _NoMetrics(), NoTracing(), quiet=True)
        try:
            problems += await _check_upstream(upstream)
        finally:
            upstream.close()
    return problems


async def _check_upstream(upstream: Upstream) -> list[str]:
    addresses = dict.fromkeys(
        address for group in address_groups(upstream.settings).values() for address in group
    )
    problems = [problem for one in addresses if (problem := await _check_address(upstream, one))]
    if not problems and addresses:
        try:
            problems = [sentence] if (sentence := await confinement_warning(upstream)) else []
        except UpstreamError as error:
            problems = [f"upstream {upstream.name!r}: {error.log_message}"]
    return problems


async def _check_address(upstream: Upstream, address: str) -> str:
    """Returns a sentence about a problem of the store at *address*, or "" without a problem."""
    prefix = f"upstream {upstream.name!r}: "
    found = await probe_address(upstream, address)
    if found is not None:
        return prefix + found.log_message
    protocol = upstream.settings.protocol
    try:
        if protocol in INFLUX_PROTOCOLS:
            text = await _check_influxdb(upstream, address)
        elif protocol == "victoriametrics" and not upstream.settings.components:
            text = await _check_victoriametrics(upstream, address)
        else:
            text = await protocol_mismatch(upstream, address)
    except UpstreamError as error:
        return prefix + error.log_message
    return f"{prefix}{address} {text}" if text else ""


async def _check_influxdb(upstream: Upstream, address: str) -> str:
    """Returns why the store at *address* is not the configured InfluxDB, or "" if it is."""
    protocol = upstream.settings.protocol
    response = await send_probe(upstream, address, "POST", "/query", b"q=SHOW+DATABASES")
    version = response.header("X-Influxdb-Version").removeprefix("v")
    content = await response.read(_MAX_RESPONSE_BYTES)
    expected = protocol.removeprefix("influxdb")
    if version[:1].isdigit() and version.partition(".")[0] != expected:
        return f"is InfluxDB {version}, expected {expected}: see protocol"
    try:
        results = json.loads(content).get("results")
    except (ValueError, AttributeError):
        results = None
    if not isinstance(results, list):
        return f"does not answer as InfluxDB {expected}: see protocol"
    if protocol == "influxdb1":
        try:
            response = await send_probe(upstream, address, "POST", "/query", b"q=SHOW+USERS")
            await response.read(_MAX_RESPONSE_BYTES)
        except UpstreamAuthError:
            return "does not accept this login as an administrator: see username"
    return ""


async def _check_victoriametrics(upstream: Upstream, address: str) -> str:
    """Returns why the store at *address* is not VictoriaMetrics, or "" if it is."""
    response = await send_probe(upstream, address, "GET", "/api/v1/status/buildinfo")
    content = await response.read(_MAX_RESPONSE_BYTES)
    try:
        data = json.loads(content)["data"]
    except (ValueError, LookupError, TypeError):
        return "does not answer as VictoriaMetrics: see protocol"
    if isinstance(data, dict) and data.get("revision"):
        return "is Prometheus, expected VictoriaMetrics: see protocol"
    return ""


class _NoMetrics:
    """Stands in for the metrics of upstream requests: a test of connections counts nothing."""

    def upstream(self, name: str, component: str, outcome: str, seconds: float) -> None:
        """Does nothing: the request is not counted."""

    def upstream_open(self, name: str, change: int) -> None:
        """Does nothing: open responses are not counted."""
