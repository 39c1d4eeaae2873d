"""Health checks of upstream stores: for /health, the start, and `serve --check --connect`."""

import asyncio
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from headgate_server.config.gateway import INFLUX, UpstreamSettings
from headgate_server.upstream.connection_pool import Incoming
from headgate_server.upstream.errors import Silent, UpstreamError
from headgate_server.upstream.upstream import Upstream

_PATIENCE_SECONDS = 2.0
_FRESH_SECONDS = 5.0
_LARGEST = 1 << 22
_SHOW_DATABASES = urlencode({"q": "SHOW DATABASES"}).encode()
_READY = {"victoriametrics": "/health", "prometheus": "/-/ready"}
# The path that lists a tenant's labels, by protocol.
_LABELS = {
    "prometheus": "/api/v1/labels",
    "mimir": "/prometheus/api/v1/labels",
    "loki": "/loki/api/v1/labels",
}
# Only Prometheus itself serves this path.
_WAL_REPLAY = "/api/v1/status/walreplay"
_READS_ALL = "READ on one database reads all"
INVENTED = "headgate-check-"


@dataclass(frozen=True, slots=True)
class State:
    """The health of one store: the error of each address, or None.

    *usable* is True if each component has an address without an error.
    """

    faults: Mapping[str, UpstreamError | None] = field(default_factory=dict)
    usable: bool = True

    @property
    def message(self) -> str:
        """The errors as a text for clients, without addresses; "" if there are none."""
        found = [error for error in self.faults.values() if error is not None]
        texts = "; ".join(dict.fromkeys(map(str, found)))
        return f"{len(found)} of {len(self.faults)} addresses away: {texts}" if found else ""


class Checkup:
    """Checks all addresses of *upstream*. Concurrent callers share one check (single flight), and
    its result is cached for 5 seconds from its start.
    """

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._task: asyncio.Task[State] | None = None
        self._until = 0.0

    async def state(self) -> State:
        """Returns the current or cached state."""
        now = time.monotonic()
        if self._task is None or (self._task.done() and now >= self._until):
            self._until = now + _FRESH_SECONDS
            self._task = asyncio.ensure_future(_state(self._upstream))
        return await asyncio.shield(self._task)

    def close(self) -> None:
        """Cancels a running check."""
        if self._task is not None:
            self._task.cancel()


async def _state(upstream: Upstream) -> State:
    groups = groups_of(upstream.settings)
    addresses = list(dict.fromkeys(one for group in groups.values() for one in group))
    found = await asyncio.gather(*(fault(upstream, one) for one in addresses))
    faults = dict(zip(addresses, found, strict=True))
    usable = all(any(faults[one] is None for one in group) for group in groups.values())
    return State(faults, usable)


def groups_of(settings: UpstreamSettings) -> dict[str, Sequence[str]]:
    """Returns the addresses by component; the key "" is for components without their own.

    A store is usable if each group has an address that works.
    """
    groups: dict[str, Sequence[str]] = dict(settings.components)
    return groups | ({"": settings.urls} if settings.urls else {})


async def fault(upstream: Upstream, address: str) -> UpstreamError | None:
    """Returns the error of *address*; None if it answers and accepts Headgate's login."""
    protocol = upstream.settings.protocol
    question: tuple[str, str, bytes | None]
    if protocol in INFLUX:
        question = ("POST", "/query", _SHOW_DATABASES)
    elif protocol == "victoriametrics" and not upstream.settings.components:
        question = ("GET", "/api/v1/status/buildinfo", None)  # /health needs no login
    else:
        question = ("GET", _READY.get(protocol, "/ready"), None)
    try:
        reply = await asked(upstream, address, *question)
        await reply.read(_LARGEST)
        if reply.status >= 500:
            raise reply.broken(f"status {reply.status}")
    except UpstreamError as error:
        return error
    return None


async def asked(
    upstream: Upstream,
    address: str,
    method: str,
    target: str,
    body: bytes | None = None,
    tenant: str = "",
) -> Incoming:
    """Sends a request to *address* and returns the response, within 2 seconds.

    Raises UpstreamError.
    """
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return await upstream.probe(address, method, target, body, tenant)
    except TimeoutError:
        error = Silent(f"no answer within {_PATIENCE_SECONDS:g} s")
        upstream.failed(address, error)
        raise error from None


async def unconfined(upstream: Upstream) -> str:
    """Returns a warning if the store returns the same data to every tenant, else "".

    Prometheus itself is recognized by a path that only it serves. Otherwise the labels that two
    tenants that do not exist can read are compared, so an empty store yields "". Raises
    UpstreamError.
    """
    settings = upstream.settings
    target = _LABELS.get(settings.protocol)
    addresses = settings.addresses("query-frontend") or settings.addresses("querier")
    if target is None or not addresses:
        return ""
    address = addresses[0]
    where = f"upstream {settings.name!r}: {address}"
    if settings.protocol == "prometheus":
        reply = await asked(upstream, address, "GET", _WAL_REPLAY)
        await reply.read(_LARGEST)
        if reply.status == 200:
            return f"{where} is Prometheus itself, which has no tenants: {_READS_ALL}"
    first, second = [await _labels(upstream, address, target) for _ in range(2)]
    if first and first == second:
        return f"{where} answers every tenant alike: {_READS_ALL}"
    return ""


async def stranger(upstream: Upstream, address: str) -> str:
    """Returns a problem if the store does not implement the configured protocol, else "".

    Raises UpstreamError.
    """
    protocol = upstream.settings.protocol
    asks = (*upstream.settings.addresses("query-frontend"), *upstream.settings.addresses("querier"))
    if protocol not in _LABELS or address not in asks:
        return ""
    reply = await asked(upstream, address, "GET", _LABELS[protocol], tenant=f"{INVENTED}0")
    await reply.read(_LARGEST)
    return f"does not answer as {protocol}: see protocol" if reply.status == 404 else ""


async def _labels(upstream: Upstream, address: str, target: str) -> list[Any]:
    """Returns the labels that a tenant that does not exist can read."""
    tenant = INVENTED + secrets.token_hex(8)
    reply = await asked(upstream, address, "GET", target, tenant=tenant)
    content = await reply.read(_LARGEST)
    try:
        found = json.loads(content)["data"] if reply.status == 200 else []
    except (ValueError, LookupError, TypeError):
        return []
    return found if isinstance(found, list) else []
