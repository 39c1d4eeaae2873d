"""The class `Gateway`: has all upstream stores, and finds a request's store by host and path."""

import asyncio
import re
from collections.abc import Sequence

from headgate_engine import Engine
from headgate_server.background.thread_pool import Run
from headgate_server.config.gateway import GatewaySettings
from headgate_server.gateway.authorization import RouteNotFound, RouteRequest, match_route
from headgate_server.gateway.mount import Mount
from headgate_server.gateway.path import validated_path
from headgate_server.gateway.user_limits import UserLimits
from headgate_server.http.errors import BadRequest
from headgate_server.http.request import Request
from headgate_server.telemetry.logging import log_warning
from headgate_server.telemetry.tracing import Tracing
from headgate_server.upstream.adapter import InfluxQLStore
from headgate_server.upstream.catalog import Catalog
from headgate_server.upstream.errors import UpstreamError
from headgate_server.upstream.memory_budget import BufferBudget
from headgate_server.upstream.no_upstream import NoUpstreamStore
from headgate_server.upstream.upstream import UpstreamMetrics

_MIN_RETRY_SECONDS = 1.0
_MAX_RETRY_SECONDS = 60.0
_PORT_SUFFIX = re.compile(r":[0-9]*\Z")


class Gateway:
    """The upstream stores of *settings*. Create it in the event loop that uses it.

    Raises ValueError for an invalid setting. The error's text is one line, which names the option.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        engine: Engine,
        metrics: UpstreamMetrics,
        tracing: Tracing,
        run: Run,
        own_headers: tuple[str, ...] = (),
    ) -> None:
        """Creates the stores' mounts. No store receives a client's *own_headers*."""
        self.settings = settings
        self.buffer_budget = BufferBudget(settings.max_buffered_size)
        self.limits = UserLimits(settings.max_concurrent_per_user, settings.rate_per_user)
        self.mounts = [
            Mount(one, engine, metrics, tracing, run, own_headers) for one in settings.upstreams
        ]
        self.no_upstream = Catalog(engine, NoUpstreamStore().databases, run)
        self._has_hosts = any(one.settings.hosts for one in self.mounts)
        # Mounts with a host come before mounts for every host. Among them, longer paths come before
        # shorter paths.
        self._mount_order = sorted(
            (
                (host, one.settings.mount.encode(), one)
                for one in self.mounts
                # A store without an address serves forward authentication only.
                if one.upstream.reachable()
                for host in _host_names(one)
            ),
            key=lambda place: (not place[0], -len(place[1])),
        )

    def find(self, request: Request, path: bytes) -> tuple[Mount | None, bytes]:
        """Returns the store that *request* is for, and *path* without the store's path prefix.

        Returns None and the unchanged *path* if *request* is for no upstream store. Raises
        BadRequest for several headers `Host`.
        """
        return self._match_mount(
            _host_name(request.headers.getlist("host")) if self._has_hosts else "", path
        )

    def accepts_websocket(self, host: bytes, path: bytes) -> bool:
        """Returns whether a request for *path* at *host* may be upgraded to a WebSocket."""
        mount, rest = self._match_mount(_host_name([host.decode("latin-1")]), path)
        if mount is None or mount.proxied is None:
            return False
        try:
            return match_route(
                mount, RouteRequest("GET", validated_path(rest), b"")
            ).route.websocket
        except (RouteNotFound, BadRequest):
            return False

    def _match_mount(self, host: str, path: bytes) -> tuple[Mount | None, bytes]:
        for wanted, prefix, mount in self._mount_order:
            if wanted and wanted != host:
                continue
            if not prefix:
                return mount, path
            if path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] == b"/":
                return mount, path[len(prefix) :]
        return None, path

    @property
    def drops_data(self) -> bool:
        """Whether DROP DATABASE also deletes data in an upstream store (option `drop-data`)."""
        return bool(self.mounts) and bool(self.dropping_stores)

    @property
    def influxql_stores(self) -> list[InfluxQLStore]:
        """The upstream stores with databases, and with an address."""
        return [
            mount.store.influxql
            for mount in self.mounts
            if mount.store is not None and mount.store.influxql is not None
        ]

    @property
    def dropping_stores(self) -> list[InfluxQLStore]:
        """The upstream stores with an address and the option `drop-data`.

        Each DROP DATABASE also deletes the data of that database in these stores.
        """
        return [
            mount.store.influxql
            for mount in self.mounts
            if mount.store is not None and mount.settings.drop_data and mount.upstream.reachable()
        ]

    @property
    def forward_auth_networks(self) -> tuple[str, ...]:
        """The networks of the proxies that may use forward authentication.

        Empty if forward authentication is off.
        """
        return self.settings.forward_auth_networks

    def find_by_name(self, name: str) -> Mount | None:
        """Returns the upstream store *name*, or None if there is no such store.

        If *name* is "", returns the only upstream store, or None unless there is exactly one store.
        """
        if not name:
            return self.mounts[0] if len(self.mounts) == 1 else None
        return next((one for one in self.mounts if one.settings.name == name), None)

    async def warn_unconfined_stores(self) -> None:
        """Logs a warning for each upstream store that returns the same data to every tenant.

        If a store does not answer, asks that store again after 1 to 60 seconds, until it answers.
        """
        await asyncio.gather(
            *(self._warn_if_unconfined(one) for one in self.mounts if one.upstream.reachable())
        )

    async def _warn_if_unconfined(self, mount: Mount) -> None:
        delay_seconds = _MIN_RETRY_SECONDS
        while True:
            try:
                if warning := await mount.adapter.confinement_warning():
                    log_warning(warning)
            except UpstreamError:  # logged by Upstream
                await asyncio.sleep(delay_seconds)
                delay_seconds = min(2 * delay_seconds, _MAX_RETRY_SECONDS)
            else:
                return

    async def close_when_idle(self) -> None:
        """Waits until all requests in flight have ended, then closes the stores."""
        while any(one.use_count or one.upstream.busy for one in self.mounts):  # noqa: ASYNC110
            await asyncio.sleep(_MIN_RETRY_SECONDS)
        await self.close()

    async def close(self) -> None:
        """Closes all stores immediately. Requests in flight are aborted."""
        for one in self.mounts:
            await one.close()


def _host_names(mount: Mount) -> tuple[str, ...]:
    return tuple(host.lower() for host in mount.settings.hosts) or ("",)


def _host_name(values: Sequence[str]) -> str:
    """Returns the host in *values*, the values of the header Host: in lower case, without a port.

    Returns "" without the header. Raises BadRequest for several values.
    """
    if len(values) > 1:
        raise BadRequest("more than one Host")
    return _PORT_SUFFIX.sub("", values[0].lower()) if values else ""
