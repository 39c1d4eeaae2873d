"""Validates the settings of `[gateway]`, and tests the connections to the upstream stores."""

from collections.abc import Callable, Collection
from typing import TypeVar

from headgate_server.config.gateway import GatewaySettings
from headgate_server.gateway.route_table import load_route_table
from headgate_server.telemetry.span_export import check_tracing
from headgate_server.telemetry.tracing import NoTracing
from headgate_server.upstream.adapter import UpstreamAdapter
from headgate_server.upstream.adapters import check_upstream_settings, create_adapter
from headgate_server.upstream.errors import UpstreamError
from headgate_server.upstream.health_checks import address_groups, probe_address
from headgate_server.upstream.upstream import Upstream

T = TypeVar("T")


def check_gateway(settings: GatewaySettings) -> None:
    """Raises ValueError if *settings* are invalid: one line with the upstream and its option."""
    if settings.otlp_endpoint:
        check_tracing()
    for one in settings.upstreams:
        try:
            check_upstream_settings(one)
            adapter = create_adapter(one, _NoMetrics(), NoTracing(), _run_inline, quiet=True)
            if adapter.proxied_api is not None:
                load_route_table(one)
            if one.jwt.enabled:
                # Imported on demand: the libraries of tokens take a fifth of a server's start.
                from headgate_server.auth.tenant_tokens import TenantTokenVerifier

                TenantTokenVerifier(one.jwt)
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
        adapter = create_adapter(one, _NoMetrics(), NoTracing(), _run_inline, quiet=True)
        try:
            problems += await _check_store(adapter)
        finally:
            adapter.upstream.close()
    return problems


async def _check_store(adapter: UpstreamAdapter) -> list[str]:
    upstream = adapter.upstream
    addresses = _addresses(upstream)
    problems = [problem for one in addresses if (problem := await _check_address(adapter, one))]
    if not problems and addresses:
        try:
            problems = [sentence] if (sentence := await adapter.confinement_warning()) else []
        except UpstreamError as error:
            problems = [f"upstream {upstream.name!r}: {error.log_message}"]
    return problems


def _addresses(upstream: Upstream) -> Collection[str]:
    groups = address_groups(upstream.settings).values()
    return dict.fromkeys(address for group in groups for address in group)


async def check_protocol(adapter: UpstreamAdapter) -> list[str]:
    """Returns a text for each address that serves another protocol than the option says.

    Raises UpstreamError if no address answers.
    """
    texts, away = [], None
    addresses = _addresses(adapter.upstream)
    for address in addresses:
        try:
            texts.append((address, await adapter.protocol_mismatch(address)))
        except UpstreamError as error:  # another address may answer
            away = error
    if away is not None and not texts:
        raise away
    return [f"{address} {text}" for address, text in texts if text]


async def _check_address(adapter: UpstreamAdapter, address: str) -> str:
    """Returns a sentence about a problem of the store at *address*, or "" without a problem."""
    prefix = f"upstream {adapter.upstream.name!r}: "
    found = await probe_address(adapter, address)
    if found is not None:
        return prefix + found.log_message
    try:
        text = await adapter.protocol_mismatch(address)
    except UpstreamError as error:
        return prefix + error.log_message
    return f"{prefix}{address} {text}" if text else ""


async def _run_inline(work: Callable[[], T]) -> T:
    return work()


class _NoMetrics:
    """Replaces the metrics of upstream requests: tests of connections are not counted."""

    def upstream(self, name: str, component: str, outcome: str, seconds: float) -> None:
        """Does nothing: the request is not counted."""

    def upstream_open(self, name: str, change: int) -> None:
        """Does nothing: open responses are not counted."""
