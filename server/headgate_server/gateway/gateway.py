"""All stores behind Headgate: which of them a request is for."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.responses import Response

from headgate_engine import Engine
from headgate_server.call import Call
from headgate_server.formats import Format
from headgate_server.gateway.catalogue import Catalogue
from headgate_server.gateway.influx import InfluxStore
from headgate_server.gateway.line import Line, write
from headgate_server.gateway.settings import INFLUX, GatewaySettings
from headgate_server.gateway.upstream import Count, Upstream

Run = Callable[[Callable[[], list[str]]], Awaitable[list[str]]]

_PATIENCE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Store:
    """A store whose databases are known by InfluxQL's names."""

    upstream: Upstream
    influx: InfluxStore
    catalogue: Catalogue

    async def write(self, call: Call, line: Line, limit: int, format: Format) -> Response:
        """Hands lines on, whose writing is authorized; see `line.write`."""
        return await write(self.upstream, call, line.target(), limit, format)


class Gateway:
    """The stores of *settings*. Made in the loop that uses it. Raises ValueError for what cannot
    be, one line with the option.
    """

    def __init__(self, settings: GatewaySettings, engine: Engine, count: Count, run: Run) -> None:
        self.settings = settings
        self._stores: list[Store] = []
        self._upstreams: list[Upstream] = []
        for one in settings.upstreams:
            upstream = Upstream(one, count)
            self._upstreams.append(upstream)
            if one.protocol in INFLUX:
                influx = InfluxStore(upstream)
                catalogue = Catalogue(engine, influx.databases, run)
                self._stores.append(Store(upstream, influx, catalogue))

    def store(self, call: Call) -> Store | None:
        """The store that InfluxQL and line protocol of *call* are for."""
        return self._stores[0] if self._stores else None

    async def retire(self) -> None:
        """Lets another take its place: what is under way may come to its end."""
        while any(upstream.busy for upstream in self._upstreams):
            await asyncio.sleep(_PATIENCE_SECONDS)
        await self.close()

    async def close(self) -> None:
        for upstream in self._upstreams:
            await upstream.close()
