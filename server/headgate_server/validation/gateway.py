"""Validates the gateway's settings, and checks by request whether its stores match them."""

import json

from headgate_server.auth.tenant_tokens import TenantLogin
from headgate_server.config.gateway import INFLUX, GatewaySettings
from headgate_server.gateway.route_table import table_for
from headgate_server.telemetry.tracing import Untraced, available
from headgate_server.upstream.connection_pool import tls
from headgate_server.upstream.errors import RefusesUs, UpstreamError
from headgate_server.upstream.health_checks import asked, fault, groups_of, stranger, unconfined
from headgate_server.upstream.upstream import Upstream

_LARGEST = 1 << 22


def check(settings: GatewaySettings) -> None:
    """Raises ValueError if *settings* are invalid: one line with the upstream and its option."""
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


async def connect(settings: GatewaySettings) -> list[str]:
    """Connects to each upstream store, and returns a sentence for each problem.

    Problems are an unreachable address, an invalid certificate, a rejected login, another protocol
    or version than the configured one, and a store that does not separate tenants. Raises
    ValueError like `check`.
    """
    problems: list[str] = []
    for one in settings.upstreams:
        upstream = Upstream(one, _Unwatched(), Untraced(), quiet=True)
        try:
            problems += await _connect(upstream)
        finally:
            upstream.close()
    return problems


async def _connect(upstream: Upstream) -> list[str]:
    addresses = dict.fromkeys(
        address for group in groups_of(upstream.settings).values() for address in group
    )
    problems = [problem for one in addresses if (problem := await _problem(upstream, one))]
    if not problems and addresses:
        try:
            problems = [sentence] if (sentence := await unconfined(upstream)) else []
        except UpstreamError as error:
            problems = [f"upstream {upstream.name!r}: {error.log_message}"]
    return problems


async def _problem(upstream: Upstream, address: str) -> str:
    """Returns the problem of the store at *address*, or ""."""
    where = f"upstream {upstream.name!r}: "
    found = await fault(upstream, address)
    if found is not None:
        return where + found.log_message
    protocol = upstream.settings.protocol
    try:
        if protocol in INFLUX:
            text = await _influx(upstream, address)
        elif protocol == "victoriametrics" and not upstream.settings.components:
            text = await _victoria(upstream, address)
        else:
            text = await stranger(upstream, address)
    except UpstreamError as error:
        return where + error.log_message
    return f"{where}{address} {text}" if text else ""


async def _influx(upstream: Upstream, address: str) -> str:
    """Returns why the store at *address* is not the configured InfluxDB, or ""."""
    protocol = upstream.settings.protocol
    reply = await asked(upstream, address, "POST", "/query", b"q=SHOW+DATABASES")
    version = reply.header("X-Influxdb-Version").removeprefix("v")
    content = await reply.read(_LARGEST)
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
            reply = await asked(upstream, address, "POST", "/query", b"q=SHOW+USERS")
            await reply.read(_LARGEST)
        except RefusesUs:
            return "does not accept this login as an administrator: see username"
    return ""


async def _victoria(upstream: Upstream, address: str) -> str:
    """Returns why the store at *address* is not VictoriaMetrics, or ""."""
    reply = await asked(upstream, address, "GET", "/api/v1/status/buildinfo")
    content = await reply.read(_LARGEST)
    try:
        data = json.loads(content)["data"]
    except (ValueError, LookupError, TypeError):
        return "does not answer as VictoriaMetrics: see protocol"
    if isinstance(data, dict) and data.get("revision"):
        return "is Prometheus, expected VictoriaMetrics: see protocol"
    return ""


class _Unwatched:
    """Metrics of upstream requests that are discarded."""

    def upstream(self, name: str, component: str, outcome: str, seconds: float) -> None:
        """Does nothing."""

    def upstream_open(self, name: str, change: int) -> None:
        """Does nothing."""
