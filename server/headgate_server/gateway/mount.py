"""One store behind Headgate, with all that belongs to it, and where it answers."""

from collections.abc import Callable
from dataclasses import dataclass

from headgate_engine import Engine, Principal
from headgate_server.auth.tenant_tokens import TenantLogin, passing
from headgate_server.background.thread_pool import Run
from headgate_server.config.gateway import INFLUX, UpstreamSettings
from headgate_server.formats import Format
from headgate_server.gateway.route_table import Table, table_for
from headgate_server.http.request import Call
from headgate_server.http.response import Reply
from headgate_server.telemetry.tracing import Tracing
from headgate_server.upstream.catalog import Catalogue
from headgate_server.upstream.health_checks import Checkup
from headgate_server.upstream.influxdb import InfluxStore
from headgate_server.upstream.label_rewriting import in_lines
from headgate_server.upstream.line_protocol import Line, write
from headgate_server.upstream.upstream import Upstream, Watch
from headgate_server.upstream.victoriametrics import VictoriaStore, label


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
        if settings.components:
            account = settings.tenants.get(line.database, "")
            target = f"/insert/{account}/influx{line.target()}"
            return await write(self.upstream, call, target, limit, format, "insert")
        rename = None if settings.overwrite_label else in_lines
        target = line.target(label(line.database))
        return await write(self.upstream, call, target, limit, format, "insert", rename)

    @property
    def takes_remote(self) -> bool:
        """Whether it has InfluxDB 1.x's paths for Prometheus."""
        return self.upstream.settings.protocol == "influxdb1"


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
        self.checkup = Checkup(self.upstream)
        self.table: Table | None = None
        self.store: Store | None = None
        if settings.protocol in INFLUX:
            self.store = self._store(InfluxStore(self.upstream, run), engine, run)
        elif settings.protocol == "victoriametrics":
            self.store = self._store(VictoriaStore(self.upstream, run), engine, run)
            self.table = table_for(settings)
        else:
            self.table = table_for(settings)
        self.login = TenantLogin(settings.jwt) if settings.jwt.enabled else None
        self.anybody: Principal | None = None
        if settings.tenant_name:
            self.anybody = passing(settings.tenant_name, [settings.tenant_name])

    @property
    def has_table(self) -> bool:
        """Whether its own HTTP API is served by a table."""
        return self.table is not None

    @property
    def takes_lines(self) -> bool:
        """Whether InfluxQL and line protocol name its databases."""
        return self.store is not None

    def hold(self) -> Callable[[], None]:
        """Somebody is at work with it until he calls what this gives."""
        self.in_use += 1
        return self._let_go

    def _let_go(self) -> None:
        self.in_use -= 1

    def _store(self, influx: InfluxStore, engine: Engine, run: Run) -> Store:
        return Store(self.upstream, influx, Catalogue(engine, influx.databases, run))

    async def close(self) -> None:
        self.checkup.close()
        self.upstream.close()
        if self.login is not None:
            await self.login.close()
