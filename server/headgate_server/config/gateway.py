"""The settings of the upstream stores, in `[gateway]` of the configuration file: dataclasses."""

from collections.abc import Mapping
from dataclasses import dataclass

from headgate_server.config.gateway_values import (
    read_components,
    read_labels,
    read_mapping,
    read_networks,
    read_secrets,
    read_urls,
    read_versions,
)
from headgate_server.config.option_fields import Option, OptionType, option
from headgate_server.config.route import Route, read_routes

_LOOPBACK_NETWORKS = ("127.0.0.0/8", "::1/128")


@dataclass(frozen=True, slots=True)
class TenantTokenSettings:
    """The settings of tokens that name a tenant instead of a user.

    *secrets* verify tokens signed with HS256, HS384 or HS512. The keys at *jwk_set_url* verify
    tokens signed with other algorithms. *versions* maps a tenant to the lowest version that its
    tokens must have in *version_claim*; a token with a lower version is revoked.
    """

    secrets: tuple[str, ...] = option(
        "Secret of HS256, HS384, HS512",
        (),
        key="secret",
        type=OptionType.STRING,
        reader=read_secrets,
        secret=True,
        file_doc="File of secrets, one a line",
    )
    jwk_set_url: str = option("Keys of all other algorithms", "")
    allow_insecure_jwk_set_url: bool = option("Accept `http` in `jwk-set-url`", False)
    cache_ttl: float = option("Time that fetched keys are used", 3600.0)
    extra_headers: tuple[str, ...] = option(
        "Further headers that may have the token; they are read before `Authorization`, and not"
        " forwarded",
        (),
    )
    tenant_claim: str = option(
        "Claim or path (`org.id`) of a tenant or a list of tenants", "tenant_id"
    )
    privilege: str = option(
        "Privilege of such a token: `READ`, `WRITE` or `ALL`", "ALL", among=("READ", "WRITE", "ALL")
    )
    audiences: tuple[str, ...] = option("Audiences of which a token must name one", ())
    version_claim: str = option("Claim of the token's version", "version")
    versions: Mapping[str, int] = option(
        "Least accepted version by tenant, such as `{team-a = 3}`", {}, reader=read_versions
    )
    require_exp: bool = option("Tokens need `exp`", True)
    leeway: float = option("Tolerance for differing clocks", 30.0)

    @property
    def enabled(self) -> bool:
        """Whether tokens that name a tenant are accepted."""
        return bool(self.secrets or self.jwk_set_url)


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
    - *drop_foreign_data*: whether it also deletes data that the store had before the database.
    - *label*: the label that has the name of the database; "" stands for `db`. *databases*
      maps a database to the labels of its series, in place of that label.
    - *max_labels*: the labels of a series that the store keeps; it cuts off others. 0: it rejects
      series with more.
    - *overwrite_label*: whether Headgate's labels replace a client's own. If False, Headgate
      renames the client's labels.
    """

    name: str = option("Name in logs, metrics and paths", default_doc="the protocol")
    protocol: str = option("One of the protocols of the [gateway](gateway.md)", "influxdb1")
    urls: tuple[str, ...] = option("Addresses, tried in turn", (), reader=read_urls)
    components: Mapping[str, tuple[str, ...]] = option(
        "Addresses by component (note 1)", {}, reader=read_components
    )
    mount: str = option("Path below which the store is served (note 2)", "")
    hosts: tuple[str, ...] = option("Host names for which the store is served", ())
    username: str = option("Headgate's own login at the store", "")
    password: str = option(
        "Password of that login", "", secret=True, file_doc="File of that password"
    )
    token: str = option(
        "Headgate's own token at the store", "", secret=True, file_doc="File of that token"
    )
    tls_ca: str = option("PEM file of the store's certificate authority; none: the system's", "")
    connect_timeout: float = option("Time to connect; `0s`: no limit", 5.0)
    read_timeout: float = option("Longest silence of the store; `0s`: no limit", 60.0)
    fail_timeout: float = option("Time that an unreachable address is skipped", 3.0)
    max_connections: int = option("Connections to one address, per worker", 512, least=1)
    tenants: Mapping[str, str] = option(
        "The tenant of each database for which the two names differ (note 3)",
        {},
        reader=read_mapping,
    )
    tenant_name: str = option("Every request is for this tenant, and needs no login", "")
    federation: bool = option(
        "A query without a tenant reads all of the user's tenants together (note 4)", False
    )
    manage_needs: str = option(
        "Privilege to change rules and alerts: `all` (ALL on the database) or `admin` (an"
        " administrator)",
        "admin",
        among=("admin", "all"),
    )
    drop_data: bool = option(
        "DROP DATABASE deletes the data in this store, even if the client sends it to another store"
        " (note 5)",
        False,
    )
    drop_foreign_data: bool = option(
        "DROP DATABASE also deletes data that the store had before CREATE DATABASE (note 6)", False
    )
    label: str = option("Label that has the name of the database (note 6)", "", default_doc="`db`")
    databases: Mapping[str, Mapping[str, str]] = option(
        "The labels of databases that the store has already (note 7)", {}, reader=read_labels
    )
    max_labels: int = option(
        "VictoriaMetrics' `-maxLabelsPerTimeseries`; `0`: it rejects more itself (notes 6, 8)",
        30,
        least=0,
        most=1000,
    )
    overwrite_label: bool = option(
        "A client's own label for databases is lost, not renamed (note 6)",
        False,
    )
    routes: tuple[Route, ...] = option(
        "Routes that are tried before those of the protocol, as tables; see below",
        (),
        reader=read_routes,
    )
    table: str = option("File of routes that replace those of the protocol", "")
    jwt: TenantTokenSettings = option(
        "Tokens that name a tenant; see below", TenantTokenSettings(), type=OptionType.TABLE
    )

    def addresses(self, component: str) -> tuple[str, ...]:
        """Returns the addresses of *component*, or *urls* if `components` does not have it."""
        return self.components.get(component, self.urls)


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """The upstream stores, and the settings that apply to all of them. Sizes are bytes."""

    upstreams: tuple[UpstreamSettings, ...] = ()
    max_concurrent_per_user: int = option(
        "Simultaneous requests of one user in one worker (note 1); 0: no limit", 100
    )
    rate_per_user: int = option(
        "Requests of one user a second; after a pause, as many at once; 0: no limit", 0
    )
    max_buffered_size: int = option(
        "Bytes of upstream responses in memory, per worker (note 2)", 1 << 26, least=1
    )
    trusted_proxies: tuple[str, ...] = option(
        "Networks that may ask `/auth` (note 3)", (), reader=read_networks
    )
    allow_anonymous: bool = option(
        "`true` permits `tenant-name`, which accepts requests without a login", False
    )
    cortex_metric_names: bool = option("Also export the metrics of cortex-gateway", False)
    user_metrics: bool = option(
        "Export `headgate_user_requests_total`, with the names of users and databases: set"
        " `metrics-auth-enabled`, too",
        False,
    )
    otlp_endpoint: str = option("OTLP/HTTP collector of traces (note 4)", "")

    @property
    def forward_auth_networks(self) -> tuple[str, ...]:
        """The networks of the proxies that may use forward authentication.

        These are `trusted_proxies`, if set. Otherwise they are the loopback networks if an upstream
        store has no address, because only forward authentication can serve such a store. In all
        other cases there are none.
        """
        has_addressless_store = any(not one.urls and not one.components for one in self.upstreams)
        return self.trusted_proxies or (_LOOPBACK_NETWORKS if has_addressless_store else ())


# Options of [gateway] that no field holds: the short form of one upstream store, and a table.
SHORT_FORM_OPTIONS = (
    Option(
        key="upstream",
        field="",
        type=OptionType.LIST,
        default=(),
        doc="Address of one upstream store, or a list of its addresses",
        section="gateway",
        flag="--upstream",
        metavar="URL",
    ),
    Option(
        key="protocol",
        field="",
        type=OptionType.STRING,
        default="",
        doc="Protocol of that store; none: `influxdb1`",
        section="gateway",
        flag="--protocol",
        metavar="NAME",
    ),
)
SHARED_TOKEN_OPTION = Option(
    "jwt", "", OptionType.TABLE, {}, "Tokens that name a tenant, for all stores; see below"
)
