"""Health checks of upstream stores.

Used for the path /health, at the server's start, and by `serve --check --connect`.
"""

import asyncio
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from headgate_server.config.gateway import INFLUX_PROTOCOLS, UpstreamSettings
from headgate_server.upstream.connection_pool import UpstreamResponse
from headgate_server.upstream.errors import UpstreamError, UpstreamTimeout
from headgate_server.upstream.upstream import Upstream

_PROBE_TIMEOUT_SECONDS = 2.0
_CACHE_SECONDS = 5.0
_MAX_ANSWER_BYTES = 1 << 22
_SHOW_DATABASES = urlencode({"q": "SHOW DATABASES"}).encode()
_READY_PATHS = {"victoriametrics": "/health", "prometheus": "/-/ready"}
# The path that lists a tenant's labels, by protocol.
_LABELS_PATHS = {
    "prometheus": "/api/v1/labels",
    "mimir": "/prometheus/api/v1/labels",
    "loki": "/loki/api/v1/labels",
}
# Only Prometheus itself serves this path.
_WAL_REPLAY_PATH = "/api/v1/status/walreplay"
_READS_ALL_TEXT = "READ on one database reads all"
PROBE_TENANT_PREFIX = "headgate-check-"


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """The health of one upstream store.

    *errors* has the error of each address, or None for an address that works. *usable* is True if
    each component of the store has an address that works.
    """

    errors: Mapping[str, UpstreamError | None] = field(default_factory=dict)
    usable: bool = True

    @property
    def client_message(self) -> str:
        """The errors as a text for clients, without addresses. "" if all addresses work."""
        found = [error for error in self.errors.values() if error is not None]
        texts = "; ".join(dict.fromkeys(map(str, found)))
        return f"{len(found)} of {len(self.errors)} addresses away: {texts}" if found else ""


class HealthCheck:
    """Checks all addresses of *upstream*.

    Concurrent callers share one check (single flight). The result is cached until 5 seconds after
    the start of the check.
    """

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._task: asyncio.Task[StoreHealth] | None = None
        self._expires_at = 0.0

    async def health(self) -> StoreHealth:
        """Returns the health of the store, by a new check or from the cache."""
        now = time.monotonic()
        if self._task is None or (self._task.done() and now >= self._expires_at):
            self._expires_at = now + _CACHE_SECONDS
            self._task = asyncio.ensure_future(_check_health(self._upstream))
        return await asyncio.shield(self._task)

    def close(self) -> None:
        """Cancels a running check."""
        if self._task is not None:
            self._task.cancel()


async def _check_health(upstream: Upstream) -> StoreHealth:
    groups = address_groups(upstream.settings)
    addresses = list(dict.fromkeys(one for group in groups.values() for one in group))
    found = await asyncio.gather(*(probe_address(upstream, one) for one in addresses))
    faults = dict(zip(addresses, found, strict=True))
    usable = all(any(faults[one] is None for one in group) for group in groups.values())
    return StoreHealth(faults, usable)


def address_groups(settings: UpstreamSettings) -> dict[str, Sequence[str]]:
    """Returns the addresses of the store by component.

    A component is a part of a store with its own addresses, such as `querier`. The key "" has the
    addresses for all other components.
    """
    groups: dict[str, Sequence[str]] = dict(settings.components)
    return groups | ({"": settings.urls} if settings.urls else {})


async def probe_address(upstream: Upstream, address: str) -> UpstreamError | None:
    """Returns the error of *address*, or None if it answers and accepts Headgate's login."""
    protocol = upstream.settings.protocol
    probe_request: tuple[str, str, bytes | None]
    if protocol in INFLUX_PROTOCOLS:
        probe_request = ("POST", "/query", _SHOW_DATABASES)
    elif protocol == "victoriametrics" and not upstream.settings.components:
        probe_request = ("GET", "/api/v1/status/buildinfo", None)  # /health needs no login
    else:
        probe_request = ("GET", _READY_PATHS.get(protocol, "/ready"), None)
    try:
        reply = await send_probe(upstream, address, *probe_request)
        await reply.read(_MAX_ANSWER_BYTES)
        if reply.status >= 500:
            raise reply.protocol_error(f"status {reply.status}")
    except UpstreamError as error:
        return error
    return None


async def send_probe(
    upstream: Upstream,
    address: str,
    method: str,
    target: str,
    body: bytes | None = None,
    tenant: str = "",
) -> UpstreamResponse:
    """Sends a request to *address* and returns the response, within 2 seconds.

    *target* is the path and query. *tenant* is the tenant to name in the request, or "". Raises
    UpstreamError.
    """
    try:
        async with asyncio.timeout(_PROBE_TIMEOUT_SECONDS):
            return await upstream.probe(address, method, target, body, tenant)
    except TimeoutError:
        error = UpstreamTimeout(f"no answer within {_PROBE_TIMEOUT_SECONDS:g} s")
        upstream.record_failure(address, error)
        raise error from None


async def confinement_warning(upstream: Upstream) -> str:
    """Returns a warning if the upstream store returns the same data to every tenant, else "".

    Such a store does not separate tenants, so a user with READ on one database can read all data.
    Prometheus itself is recognized by a path that only Prometheus serves. For other stores, the
    check reads labels as two tenants that do not exist. Returns a warning if both tenants see the
    same labels. An empty store yields "". Raises UpstreamError.
    """
    settings = upstream.settings
    target = _LABELS_PATHS.get(settings.protocol)
    addresses = settings.addresses("query-frontend") or settings.addresses("querier")
    if target is None or not addresses:
        return ""
    address = addresses[0]
    prefix = f"upstream {settings.name!r}: {address}"
    if settings.protocol == "prometheus":
        reply = await send_probe(upstream, address, "GET", _WAL_REPLAY_PATH)
        await reply.read(_MAX_ANSWER_BYTES)
        if reply.status == 200:
            return f"{prefix} is Prometheus itself, which has no tenants: {_READS_ALL_TEXT}"
    first, second = [await _tenant_labels(upstream, address, target) for _ in range(2)]
    if first and first == second:
        return f"{prefix} answers every tenant alike: {_READS_ALL_TEXT}"
    return ""


async def protocol_mismatch(upstream: Upstream, address: str) -> str:
    """Returns a problem if *address* does not serve the API of the configured protocol, else "".

    The problem is status 404 on the path that lists labels. Only Prometheus, Mimir and Loki are
    checked, at addresses that serve queries. Raises UpstreamError.
    """
    protocol = upstream.settings.protocol
    queried = (
        *upstream.settings.addresses("query-frontend"),
        *upstream.settings.addresses("querier"),
    )
    if protocol not in _LABELS_PATHS or address not in queried:
        return ""
    reply = await send_probe(
        upstream, address, "GET", _LABELS_PATHS[protocol], tenant=f"{PROBE_TENANT_PREFIX}0"
    )
    await reply.read(_MAX_ANSWER_BYTES)
    return f"does not answer as {protocol}: see protocol" if reply.status == 404 else ""


async def _tenant_labels(upstream: Upstream, address: str, target: str) -> list[Any]:
    """Returns the labels that a tenant that does not exist can read."""
    tenant = PROBE_TENANT_PREFIX + secrets.token_hex(8)
    reply = await send_probe(upstream, address, "GET", target, tenant=tenant)
    content = await reply.read(_MAX_ANSWER_BYTES)
    try:
        found = json.loads(content)["data"] if reply.status == 200 else []
    except (ValueError, LookupError, TypeError):
        return []
    return found if isinstance(found, list) else []
