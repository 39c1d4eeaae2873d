"""The settings of the upstream stores, in `[gateway]` of the configuration file: dataclasses."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

COMPONENTS = (
    *("distributor", "query-frontend", "querier", "ruler", "alertmanager", "compactor"),
    *("insert", "select"),
)
_LOOPBACK_NETWORKS = ("127.0.0.0/8", "::1/128")
# Mimir's rule for tenant names, which Loki and Pyroscope share.
TENANT_PATTERN = re.compile(r"[0-9A-Za-z!_.*'()-]{1,150}")
# Names that match TENANT_PATTERN, but that all upstream stores reject.
_RESERVED_TENANTS = frozenset({".", "..", "__mimir_cluster"})
# A tenant of VictoriaMetrics' cluster: `account` or `account:project`.
ACCOUNT_PATTERN = re.compile(r"[0-9]{1,10}(:[0-9]{1,10})?")


@dataclass(frozen=True, slots=True)
class TenantTokenSettings:
    """The settings of tokens that name a tenant instead of a user.

    *secrets* verify tokens signed with HS256, HS384 or HS512. The keys at *jwk_set_url* verify
    tokens signed with other algorithms. *versions* maps a tenant to the lowest version that its
    tokens must have in *version_claim*; a token with a lower version is revoked.
    """

    secrets: tuple[str, ...] = field(default=(), repr=False)
    jwk_set_url: str = ""
    allow_insecure_jwk_set_url: bool = False
    cache_ttl: float = 3600.0
    extra_headers: tuple[str, ...] = ()
    tenant_claim: str = "tenant_id"
    privilege: str = "ALL"
    audiences: tuple[str, ...] = ()
    version_claim: str = "version"
    versions: Mapping[str, int] = field(default_factory=dict)
    require_exp: bool = True
    leeway: float = 30.0

    @property
    def enabled(self) -> bool:
        """Whether tokens that name a tenant are accepted."""
        return bool(self.secrets or self.jwk_set_url)


@dataclass(frozen=True, slots=True)
class Route:
    """The *privilege* that a user needs for a request with one of *methods* for one of *paths*.

    The privilege is READ, WRITE, MANAGE or ADMIN. *component* names the server that answers the
    request, such as `ingester`, for an upstream store that consists of several servers.
    """

    methods: tuple[str, ...]
    paths: tuple[str, ...]
    privilege: str
    component: str = ""
    websocket: bool = False
    format: str = ""  # of a write: one of WRITE_FORMATS


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """The settings of one upstream store. Times are seconds.

    - *protocol*: the kind of the store, a key of `headgate_server.upstream.adapters.ADAPTERS`.
    - *urls*: the addresses of the store. *components* has the addresses of its components, which
      replace *urls* for requests to a component.
    - *mount*: the path below which clients reach the store. If *hosts* is not empty, clients reach
      it only with a header `Host` in *hosts*.
    - *tenants*: maps a database to the store's tenant, where their names differ. In
      VictoriaMetrics' cluster a tenant is `account:project`.
    - *manage_needs*: what a MANAGE route requires: `admin`, or `all` for ALL PRIVILEGES on the
      database.
    - *drop_data*: whether DROP DATABASE also deletes the data in the store.
    - *overwrite_label*: whether Headgate's label `db` replaces a label `db` in a client's data. If
      False, Headgate renames the client's label.
    """

    name: str
    protocol: str = "influxdb1"
    urls: tuple[str, ...] = ()
    components: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    mount: str = ""
    hosts: tuple[str, ...] = ()
    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    tls_ca: str = ""
    connect_timeout: float = 5.0
    read_timeout: float = 60.0
    fail_timeout: float = 3.0
    max_connections: int = 512
    tenants: Mapping[str, str] = field(default_factory=dict)
    tenant_name: str = ""
    federation: bool = False
    manage_needs: str = "admin"
    drop_data: bool = False
    overwrite_label: bool = False
    routes: tuple[Route, ...] = ()
    table: str = ""
    jwt: TenantTokenSettings = TenantTokenSettings()

    def addresses(self, component: str) -> tuple[str, ...]:
        """Returns the addresses of *component*, or *urls* if `components` does not have it."""
        return self.components.get(component, self.urls)


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """The upstream stores, and the settings that apply to all of them. Sizes are bytes."""

    upstreams: tuple[UpstreamSettings, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    max_concurrent_per_user: int = 100
    rate_per_user: int = 0
    max_buffered_size: int = 1 << 26
    allow_anonymous: bool = False
    cortex_metric_names: bool = False
    otlp_endpoint: str = ""

    @property
    def forward_auth_networks(self) -> tuple[str, ...]:
        """The networks of the proxies that may use forward authentication.

        Returns `trusted_proxies` if it is set. If not, returns the loopback networks if an upstream
        store has no address: only forward authentication can serve such a store. Otherwise returns
        ().
        """
        has_addressless_store = any(not one.urls and not one.components for one in self.upstreams)
        return self.trusted_proxies or (_LOOPBACK_NETWORKS if has_addressless_store else ())


def is_tenant(name: str) -> bool:
    """Returns whether *name* is a valid tenant name."""
    return TENANT_PATTERN.fullmatch(name) is not None and name not in _RESERVED_TENANTS
