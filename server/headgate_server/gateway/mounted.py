"""One store behind Headgate, with all that belongs to it, and where it answers."""

from collections.abc import Callable
from dataclasses import dataclass

from headgate_engine import Engine, Principal
from headgate_server.call import Call
from headgate_server.formats import Format
from headgate_server.gateway.catalogue import Catalogue
from headgate_server.gateway.influx import InfluxStore
from headgate_server.gateway.line import Line, write
from headgate_server.gateway.settings import INFLUX, UpstreamSettings
from headgate_server.gateway.table import Table, table_for
from headgate_server.gateway.tokens import TenantLogin, passing
from headgate_server.gateway.upstream import Upstream, Watch
from headgate_server.gateway.victoria import VictoriaStore, label
from headgate_server.pool import Run
from headgate_server.reply import Reply
from headgate_server.tracing import Tracing

# What a client of InfluxDB asks for, below a mount as at the root.
_INFLUX_PATHS = frozenset({b"/query", b"/write", b"/api/v2/write", b"/ping", b"/health"})


@dataclass(frozen=True, slots=True)
class Store:
    """A store whose databases InfluxQL and line protocol name."""

    upstream: Upstream
    influx: InfluxStore
    catalogue: Catalogue

    async def write(self, call: Call, line: Line, limit: int, format: Format) -> Reply:
        """Hands lines on, whose writing is authorized; see `line.write`."""
        settings = self.upstream.settings
        if settings.protocol != "victoriametrics":
            return await write(self.upstream, call, line.target(), limit, format)
        account = settings.tenants.get(line.database, "") if settings.components else ""
        path = f"/insert/{account}/influx" if settings.components else ""
        target = path + line.target(label(line.database))
        return await write(self.upstream, call, target, limit, format, "insert")


class Mounted:
    """The store of *settings*. Made in the loop that uses it. Raises ValueError, one line with the
    option.
    """

    def __init__(
        self, settings: UpstreamSettings, engine: Engine, watch: Watch, tracing: Tracing, run: Run
    ) -> None:
        self.settings = settings
        self.in_use = 0
        self.upstream = Upstream(settings, watch, tracing)
        self.table: Table | None = None
        self.store: Store | None = None
        self.serves = _INFLUX_PATHS
        if settings.protocol in INFLUX:
            self.store = self._store(InfluxStore(self.upstream, run), engine, run)
        elif settings.protocol == "victoriametrics":
            self.store = self._store(VictoriaStore(self.upstream, run), engine, run)
            self.table = table_for(settings)
        else:
            self.serves = frozenset()
            self.table = table_for(settings)
        self.login = TenantLogin(settings.jwt) if settings.jwt.enabled else None
        self.anybody: Principal | None = None
        if settings.tenant_name:
            self.anybody = passing(settings.tenant_name, [settings.tenant_name])

    def hold(self) -> Callable[[], None]:
        """Somebody is at work with it until he calls what this gives."""
        self.in_use += 1
        return self._let_go

    def _let_go(self) -> None:
        self.in_use -= 1

    def _store(self, influx: InfluxStore, engine: Engine, run: Run) -> Store:
        return Store(self.upstream, influx, Catalogue(engine, influx.databases, run))

    async def close(self) -> None:
        self.upstream.close()
        if self.login is not None:
            await self.login.close()
