"""The class `Mount`: one upstream store, and the objects that Headgate keeps for it.

These objects are an HTTP client, a catalog of databases, a health check, and a verifier of the
tokens of tenants. A route table lists the privilege that each path of the store's API requires.
"""

from collections.abc import Callable
from dataclasses import dataclass

from headgate_engine import Engine, Principal
from headgate_server.auth.tenant_tokens import TenantTokenVerifier, transient_principal
from headgate_server.background.thread_pool import Run
from headgate_server.config.gateway import INFLUX_PROTOCOLS, UpstreamSettings
from headgate_server.formats import ResultEncoder
from headgate_server.gateway.route_table import RouteTable, load_route_table
from headgate_server.http.request import Request
from headgate_server.http.response import Response
from headgate_server.telemetry.tracing import Tracing
from headgate_server.upstream.catalog import Catalog
from headgate_server.upstream.health_checks import HealthCheck
from headgate_server.upstream.influxdb import InfluxStore
from headgate_server.upstream.label_rewriting import rename_in_lines
from headgate_server.upstream.line_protocol import WriteTarget, write_lines
from headgate_server.upstream.upstream import Upstream, UpstreamMetrics
from headgate_server.upstream.victoriametrics import VictoriaStore, label_parameters


@dataclass(frozen=True, slots=True)
class DatabaseStore:
    """An upstream store whose databases can be named in InfluxQL and line protocol requests."""

    upstream: Upstream
    influx: InfluxStore
    catalog: Catalog

    async def write(
        self, request: Request, write_target: WriteTarget, max_bytes: int, encoder: ResultEncoder
    ) -> Response:
        """Forwards an authorized write of line protocol of at most *max_bytes* bytes (0: no limit).

        *write_target* names the database. Returns 204 when the store has acknowledged the write;
        *encoder* sets the Content-Type of this response. Raises what `write_lines` raises.
        """
        settings = self.upstream.settings
        if settings.protocol != "victoriametrics":
            return await write_lines(
                self.upstream, request, write_target.path_and_query(), max_bytes, encoder
            )
        if settings.components:
            account = settings.tenants.get(write_target.database, "")
            target = f"/insert/{account}/influx{write_target.path_and_query()}"
            return await write_lines(self.upstream, request, target, max_bytes, encoder, "insert")
        rename = None if settings.overwrite_label else rename_in_lines
        target = write_target.path_and_query(label_parameters(write_target.database))
        return await write_lines(
            self.upstream, request, target, max_bytes, encoder, "insert", rename
        )

    @property
    def serves_prometheus_remote(self) -> bool:
        """Whether the store has InfluxDB 1.x's paths for Prometheus' remote write and read."""
        return self.upstream.settings.protocol == "influxdb1"


class Mount:
    """One configured upstream store, with its client, catalog, health check and route table.

    Create a mount in the event loop that uses it. Raises ValueError for an invalid setting. The
    error's text is one line, which names the option.
    """

    def __init__(
        self,
        settings: UpstreamSettings,
        engine: Engine,
        metrics: UpstreamMetrics,
        tracing: Tracing,
        run: Run,
    ) -> None:
        self.settings = settings
        self.use_count = 0
        self.upstream = Upstream(settings, metrics, tracing)
        self.health_check = HealthCheck(self.upstream)
        self.route_table: RouteTable | None = None
        self.store: DatabaseStore | None = None
        if settings.protocol in INFLUX_PROTOCOLS:
            self.store = self._create_store(InfluxStore(self.upstream, run), engine, run)
        elif settings.protocol == "victoriametrics":
            self.store = self._create_store(VictoriaStore(self.upstream, run), engine, run)
            self.route_table = load_route_table(settings)
        else:
            self.route_table = load_route_table(settings)
        self.token_verifier = TenantTokenVerifier(settings.jwt) if settings.jwt.enabled else None
        self.anonymous_principal: Principal | None = None
        if settings.tenant_name:
            self.anonymous_principal = transient_principal(
                settings.tenant_name, [settings.tenant_name]
            )

    @property
    def has_route_table(self) -> bool:
        """Whether Headgate proxies the store's own HTTP API, authorized by a route table."""
        return self.route_table is not None

    @property
    def accepts_line_protocol(self) -> bool:
        """Whether requests in InfluxQL and line protocol can name the store's databases."""
        return self.store is not None

    def acquire(self) -> Callable[[], None]:
        """Counts one more use of this store, and returns the function that ends the use.

        A store that a reload has replaced is closed only after all its uses have ended.
        """
        self.use_count += 1
        return self._release

    def _release(self) -> None:
        self.use_count -= 1

    def _create_store(self, influx: InfluxStore, engine: Engine, run: Run) -> DatabaseStore:
        return DatabaseStore(self.upstream, influx, Catalog(engine, influx.databases, run))

    async def close(self) -> None:
        """Closes the connections to the store and to the issuer of its tenants' tokens."""
        self.health_check.close()
        self.upstream.close()
        if self.token_verifier is not None:
            await self.token_verifier.close()
