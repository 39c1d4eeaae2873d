"""All upstream stores, and the choice of the one that a request is for."""

import asyncio
import re
from collections.abc import Sequence

from headgate_engine import Engine
from headgate_server.background.thread_pool import Run
from headgate_server.config.gateway import GatewaySettings
from headgate_server.gateway.authorization import NoRoute, View, find
from headgate_server.gateway.mount import Mounted
from headgate_server.gateway.path import checked
from headgate_server.gateway.user_limits import Limits
from headgate_server.http.errors import BadRequest
from headgate_server.http.request import Call
from headgate_server.telemetry.logging import warn
from headgate_server.telemetry.tracing import Tracing
from headgate_server.upstream.catalog import Catalogue
from headgate_server.upstream.errors import UpstreamError
from headgate_server.upstream.health_checks import unconfined
from headgate_server.upstream.influxdb import InfluxStore, Nowhere
from headgate_server.upstream.memory_budget import Buffers
from headgate_server.upstream.upstream import Watch

_PATIENCE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0
_PORT = re.compile(r":[0-9]*\Z")


class Gateway:
    """The upstream stores of *settings*. Create it in the event loop that uses it.

    Raises ValueError for an invalid setting: one line that names the option.
    """

    def __init__(
        self, settings: GatewaySettings, engine: Engine, watch: Watch, tracing: Tracing, run: Run
    ) -> None:
        self.settings = settings
        self.buffers = Buffers(settings.max_buffered_size)
        self.limits = Limits(settings.max_concurrent_per_user, settings.rate_per_user)
        self.all = [Mounted(one, engine, watch, tracing, run) for one in settings.upstreams]
        self.nowhere = Catalogue(engine, Nowhere().databases, run)
        self._by_host = any(one.settings.hosts for one in self.all)
        # Mounts with a host come before those for every host, longer paths before shorter ones.
        self._places = sorted(
            (
                (host, one.settings.mount.encode(), one)
                for one in self.all
                # A store without an address serves forward authentication only.
                if one.upstream.up()
                for host in _hosts(one)
            ),
            key=lambda place: (not place[0], -len(place[1])),
        )

    def find(self, call: Call, path: bytes) -> tuple[Mounted | None, bytes]:
        """Returns the store that *call* is for, or None, and *path* without the store's mount.

        Raises BadRequest.
        """
        return self._at(_host(call.headers.getlist("host")) if self._by_host else "", path)

    def takes_websocket(self, host: bytes, path: bytes) -> bool:
        """Returns whether a request for *path* at *host* may be upgraded to a WebSocket."""
        mounted, rest = self._at(_host([host.decode("latin-1")]), path)
        if mounted is None or mounted.table is None:
            return False
        try:
            return find(mounted, View("GET", checked(rest), b"")).route.websocket
        except (NoRoute, BadRequest):
            return False

    def _at(self, host: str, path: bytes) -> tuple[Mounted | None, bytes]:
        for wanted, mount, mounted in self._places:
            if wanted and wanted != host:
                continue
            if not mount:
                return mounted, path
            if path.startswith(mount) and path[len(mount) : len(mount) + 1] == b"/":
                return mounted, path[len(mount) :]
        return None, path

    @property
    def keeping(self) -> list[InfluxStore]:
        """The stores from which DROP DATABASE, sent to any store, deletes data (`drop-data`)."""
        stores = [one.store.influx for one in self.all if one.store is not None]
        return [one for one in stores if one.upstream.up() and one.upstream.settings.drop_data]

    @property
    def askers(self) -> tuple[str, ...]:
        """The networks of the proxies that may use forward authentication; () if it is off."""
        return self.settings.askers

    def named(self, name: str) -> Mounted | None:
        """Returns the store *name*, or None. For "" returns the only store, if there is one."""
        if not name:
            return self.all[0] if len(self.all) == 1 else None
        return next((one for one in self.all if one.settings.name == name), None)

    async def watch_tenants(self) -> None:
        """Logs a warning for each store that does not confine tenants, once it answers.

        Retries with a back-off of 1 to 60 seconds until every store has answered.
        """
        await asyncio.gather(*(self._watch_tenants(one) for one in self.all if one.upstream.up()))

    async def _watch_tenants(self, mounted: Mounted) -> None:
        pause = _PATIENCE_SECONDS
        while True:
            try:
                if sentence := await unconfined(mounted.upstream):
                    warn(sentence)
            except UpstreamError:  # logged by Upstream
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            else:
                return

    async def retire(self) -> None:
        """Waits until all requests in flight have ended, then closes the stores."""
        while any(one.in_use or one.upstream.busy for one in self.all):
            await asyncio.sleep(_PATIENCE_SECONDS)
        await self.close()

    async def close(self) -> None:
        """Closes all stores at once."""
        for one in self.all:
            await one.close()


def _hosts(mounted: Mounted) -> tuple[str, ...]:
    return tuple(host.lower() for host in mounted.settings.hosts) or ("",)


def _host(named: Sequence[str]) -> str:
    """Returns the host in lower case without its port. Raises BadRequest for several headers."""
    if len(named) > 1:
        raise BadRequest("more than one Host")
    return _PORT.sub("", named[0].lower()) if named else ""
