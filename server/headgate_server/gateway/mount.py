"""One upstream store with its route table, its catalog and its tenant authentication."""

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
    """An upstream store whose databases are those that InfluxQL and line protocol name."""

    upstream: Upstream
    influx: InfluxStore
    catalogue: Catalogue

    async def write(self, call: Call, line: Line, limit: int, format: Format) -> Reply:
        """Forwards an authorized write of line protocol of at most *limit* bytes (0: no limit).

        Returns 204 when the store has acknowledged it. Raises what `line_protocol.write` raises.
        """
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
        """Whether the store has InfluxDB 1.x's paths for Prometheus."""
        return self.upstream.settings.protocol == "influxdb1"


class Mounted:
    """The upstream store of *settings*, and everything that belongs to it.

    Create it in the event loop that uses it. Raises ValueError if *settings* are invalid; the text
    is one line with the option.
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
        """Whether the store's own HTTP API is served, by a route table."""
        return self.table is not None

    @property
    def takes_lines(self) -> bool:
        """Whether InfluxQL and line protocol name databases of this store."""
        return self.store is not None

    def hold(self) -> Callable[[], None]:
        """Counts one more user of this store, and returns the function that releases it.

        A store in use is not closed when a reload replaces it.
        """
        self.in_use += 1
        return self._let_go

    def _let_go(self) -> None:
        self.in_use -= 1

    def _store(self, influx: InfluxStore, engine: Engine, run: Run) -> Store:
        return Store(self.upstream, influx, Catalogue(engine, influx.databases, run))

    async def close(self) -> None:
        """Closes the connections to the store and to the issuer of its tokens."""
        self.checkup.close()
        self.upstream.close()
        if self.login is not None:
            await self.login.close()
