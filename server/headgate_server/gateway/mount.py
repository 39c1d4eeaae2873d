"""The class `Mount`: one upstream store, and the objects that Headgate keeps for it.

These objects are an HTTP client, a catalog of databases, a health check, and a verifier of the
tokens of tenants. A route table lists the privilege that each path of the store's API requires.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headgate_engine import Engine, Principal
from headgate_server.auth.transient_principal import transient_principal
from headgate_server.background.thread_pool import Run
from headgate_server.config.gateway import TenantTokenSettings, UpstreamSettings
from headgate_server.gateway.route_table import RouteTable, load_route_table
from headgate_server.telemetry.tracing import Tracing
from headgate_server.upstream.adapter import InfluxQLStore, ProxiedAPI
from headgate_server.upstream.adapters import create_adapter
from headgate_server.upstream.catalog import Catalog
from headgate_server.upstream.health_checks import HealthCheck
from headgate_server.upstream.upstream import Upstream, UpstreamMetrics

if TYPE_CHECKING:
    from headgate_server.auth.tenant_tokens import TenantTokenVerifier


@dataclass(frozen=True, slots=True)
class DatabaseStore:
    """An upstream store with databases that requests in InfluxQL and line protocol can name."""

    upstream: Upstream
    influxql: InfluxQLStore
    catalog: Catalog


@dataclass(frozen=True, slots=True)
class ProxiedStore:
    """An upstream store for which Headgate proxies requests to the store's own HTTP API.

    *route_table* lists the privilege that each request requires.
    """

    api: ProxiedAPI
    route_table: RouteTable


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
        own_headers: tuple[str, ...] = (),
    ) -> None:
        """Creates a mount without connections. Headers in *own_headers* are meant for Headgate."""
        self.settings = settings
        # Headers of a client that the store does not receive, because they are meant for Headgate.
        # In a traced request, Headgate also replaces those of the trace context.
        self.own_headers = (*settings.jwt.extra_headers, *own_headers)
        self.own_headers_if_traced = (*self.own_headers, *tracing.headers)
        self.use_count = 0
        self.adapter = create_adapter(settings, metrics, tracing, run)
        self.upstream = self.adapter.upstream
        self.health_check = HealthCheck(self.adapter)
        self.store: DatabaseStore | None = None
        if (influxql := self.adapter.influxql) is not None:
            self.store = DatabaseStore(
                self.upstream, influxql, Catalog(engine, influxql.databases, run)
            )
        self.proxied: ProxiedStore | None = None
        if (api := self.adapter.proxied_api) is not None:
            self.proxied = ProxiedStore(api, load_route_table(settings))
        self.token_verifier = _create_token_verifier(settings.jwt)
        self.anonymous_principal: Principal | None = None
        if settings.tenant_name:
            self.anonymous_principal = transient_principal(
                settings.tenant_name, [settings.tenant_name]
            )

    @property
    def has_route_table(self) -> bool:
        """Whether Headgate proxies the store's own HTTP API, authorized by a route table."""
        return self.proxied is not None

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

    async def close(self) -> None:
        """Closes the connections to the store and to the issuer of its tenants' tokens."""
        self.health_check.close()
        self.upstream.close()
        if self.token_verifier is not None:
            await self.token_verifier.close()


def _create_token_verifier(settings: TenantTokenSettings) -> "TenantTokenVerifier | None":
    """Returns the verifier of tenant tokens, or None if they are disabled."""
    if not settings.enabled:
        return None
    # Imported on demand: the libraries of tokens take a fifth of a server's start.
    from headgate_server.auth.tenant_tokens import TenantTokenVerifier

    return TenantTokenVerifier(settings)
