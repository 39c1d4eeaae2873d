"""Health checks of upstream stores.

Used for the path /health, at the server's start, and by `serve --check --connect`.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from headgate_server.config.gateway import UpstreamSettings
from headgate_server.upstream.adapter import UpstreamAdapter
from headgate_server.upstream.errors import UpstreamError, UpstreamProtocolError
from headgate_server.upstream.probe import send_probe

_CACHE_SECONDS = 5.0


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
    """Checks all addresses of the store of *adapter*.

    Concurrent callers share one check (single flight). The result is cached until 5 seconds after
    the start of the check.
    """

    def __init__(self, adapter: UpstreamAdapter) -> None:
        self._adapter = adapter
        self._task: asyncio.Task[StoreHealth] | None = None
        self._expires_at = 0.0

    async def health(self) -> StoreHealth:
        """Returns the health of the store, by a new check or from the cache."""
        now = time.monotonic()
        if self._task is None or (self._task.done() and now >= self._expires_at):
            self._expires_at = now + _CACHE_SECONDS
            self._task = asyncio.ensure_future(_check_health(self._adapter))
        return await asyncio.shield(self._task)

    def close(self) -> None:
        """Cancels a running check."""
        if self._task is not None:
            self._task.cancel()


async def _check_health(adapter: UpstreamAdapter) -> StoreHealth:
    groups = address_groups(adapter.upstream.settings)
    addresses = list(dict.fromkeys(one for group in groups.values() for one in group))
    found = await asyncio.gather(*(probe_address(adapter, one) for one in addresses))
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


async def probe_address(adapter: UpstreamAdapter, address: str) -> UpstreamError | None:
    """Returns the error of *address*, or None if it answers and accepts Headgate's login."""
    try:
        response = await send_probe(adapter.upstream, address, adapter.probe_request())
    except UpstreamError as error:
        return error
    if response.status < 500:
        return None
    failure = UpstreamProtocolError(f"status {response.status}")
    failure.address = address
    return failure
