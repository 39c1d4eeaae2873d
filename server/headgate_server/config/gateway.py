"""`[gateway]`: the settings of the upstream stores. Values only."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

# Stores of the INFLUX_PROTOCOLS have databases; those of the TENANT_PROTOCOLS have tenants instead.
INFLUX_PROTOCOLS = ("influxdb1", "influxdb2", "influxdb3")
TENANT_PROTOCOLS = ("mimir", "loki", "prometheus", "pyroscope")
PROTOCOLS = (*INFLUX_PROTOCOLS, "victoriametrics", *TENANT_PROTOCOLS)
COMPONENTS = (
    *("distributor", "query-frontend", "querier", "ruler", "alertmanager", "compactor"),
    *("insert", "select"),
)
_LOOPBACK_NETWORKS = ("127.0.0.0/8", "::1/128")
# Mimir's rule for tenant names, which Loki and Pyroscope share.
TENANT_PATTERN = re.compile(r"[0-9A-Za-z!_.*'()-]{1,150}")
# Names that match the pattern, but that every store rejects.
_RESERVED_TENANTS = frozenset({".", "..", "__mimir_cluster"})
# A tenant of VictoriaMetrics' cluster: `account` or `account:project`.
ACCOUNT_PATTERN = re.compile(r"[0-9]{1,10}(:[0-9]{1,10})?")


@dataclass(frozen=True, slots=True)
class TenantTokenSettings:
    """The settings of tokens that name a tenant instead of a user.

    *secrets* verify HS256, HS384 and HS512; the keys at *jwk_set_url* verify other algorithms.
    *versions* maps a tenant to the lowest version that a token must have in *version_claim*.
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
    """The *privilege* that a request with one of *methods* for one of *paths* requires.

    The privilege is READ, WRITE, MANAGE or ADMIN. *component* serves the request.
    """

    methods: tuple[str, ...]
    paths: tuple[str, ...]
    privilege: str
    component: str = ""
    websocket: bool = False
    format: str = ""  # of a write: one of WRITE_FORMATS


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """One upstream store. Times are seconds.

    Its addresses are *urls*; *components* overrides them for a component. It answers below the path
    *mount*, and only for *hosts* if any are set. *tenants* maps databases to tenants with another
    name (in VictoriaMetrics' cluster `account:project`). *manage_needs* is what a MANAGE route
    requires: `admin`, or `all` for ALL PRIVILEGES on the database. With *drop_data*, DROP DATABASE
    deletes the data upstream. With *overwrite_label*, a client's own label `db` is lost.
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
        """Returns the addresses of *component*; () if it has none."""
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

        They are `trusted_proxies`, or else this machine if a store has no address, because such a
        store serves forward authentication only.
        """
        has_addressless_store = any(not one.urls and not one.components for one in self.upstreams)
        return self.trusted_proxies or (_LOOPBACK_NETWORKS if has_addressless_store else ())


def is_tenant(name: str) -> bool:
    """Returns whether *name* is a valid tenant name."""
    return TENANT_PATTERN.fullmatch(name) is not None and name not in _RESERVED_TENANTS
