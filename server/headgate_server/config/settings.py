"""All settings of a server, with their types, default values and names in the file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headgate_engine import BCRYPT_COST, KEEP_LAST_ADMIN, MIN_PASSWORD_LENGTH
from headgate_grammar import DIALECTS
from headgate_server.config.gateway import GatewaySettings
from headgate_server.config.jwt import JwtSettings
from headgate_server.config.ldap import LdapSettings
from headgate_server.config.option_fields import option
from headgate_server.config.values import word

# Defaults of the throttle: the number of failed logins without a delay, for each user and for each
# address, and the longest delay.
FREE_FAILURES = 5
FREE_FAILURES_PER_ADDRESS = 20
MAX_DELAY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class SettingsSource:
    """The sources of settings: *flags*, by key, and *path*, the configuration file.

    *path* is None without a file. A reload reads the settings again from these flags, this file
    and the environment.
    """

    flags: Mapping[str, Any] = field(default_factory=dict, repr=False)
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one server.

    A key of `[http]` that InfluxDB 1.x also has means the same in Headgate. Sizes are bytes,
    times are seconds. For a limit, 0 means no limit.
    """

    bind_address: str = option(
        "Address to listen on; `:8086` is every interface",
        "127.0.0.1:8086",
        section="http",
        flag="--bind",
        metavar="HOST:PORT",
    )
    auth_enabled: bool = option(
        "Require a login; `false`: every request has all privileges",
        True,
        section="http",
        flag="--auth",
    )
    shared_secret: str = option(
        "Secret of InfluxDB's JSON Web Tokens (HS256, HS384, HS512); none: such tokens are"
        " rejected",
        "",
        section="http",
        secret=True,
        file_doc="File of secrets, one a line; each may have signed a token",
        flag="--shared-secret",
        metavar="SECRET",
    )
    additional_secrets: tuple[str, ...] = field(default=(), repr=False)
    enforce_strong_secret: bool = option(
        "`true`: a secret shorter than 32 bytes prevents the start; else a notice",
        False,
        section="http",
    )
    realm: str = option(
        "Realm in `WWW-Authenticate`",
        "InfluxDB",
        section="http",
        header=True,
        flag="--realm",
        metavar="REALM",
    )
    max_body_size: int = option(
        "Bytes of a write's body, also after unpacking; 0: no limit",
        25_000_000,
        section="http",
        flag="--max-body-size",
        metavar="BYTES",
    )
    max_query_size: int = option(
        "Bytes of statements, their parameters and a form's body; 0: no limit",
        1_000_000,
        section="http",
    )
    max_statements: int = option("Statements of a query; 0: no limit", 10_000, section="http")
    dialect: str = option(
        "InfluxQL of InfluxDB `1.8` or `1.12`; none: both (note 4)",
        "",
        section="http",
        among=DIALECTS,
    )
    max_tokens: int = option(
        "Words, values and signs of a query (note 1); 0: no limit", 20_000, section="http"
    )
    max_statement_length: int = option(
        "Characters of one statement; 0: no limit", 100_000, section="http"
    )
    allowed_origins: tuple[str, ...] = option(
        "Origins of pages that may send changes and read responses (note 11)",
        (),
        section="http",
    )
    allowed_hosts: tuple[str, ...] = option(
        "Names in `Host` that are answered, such as `metrics.example`; none: any name (note 10)",
        (),
        section="http",
    )
    ping_auth_enabled: bool = option(
        "`/ping`, `/status`, `/health` and `/metrics` need a login", False, section="http"
    )
    metrics_auth_enabled: bool = option("`/metrics` needs a login", False, section="http")
    log_enabled: bool = option("One line per request on standard error", True, section="http")
    log_format: str = option("`text` or `json`", "text", section="http", among=("text", "json"))
    reported_version: str = option(
        "Version in `X-Influxdb-Version`", "1.8.10", section="http", header=True
    )
    allow_insecure: bool = option(
        "`false`: an address other than loopback needs TLS to start", True, section="http"
    )
    https_enabled: bool = option(
        "TLS 1.2 and newer; SIGHUP reads the certificate again", False, section="http"
    )
    https_certificate: str = option(
        "PEM file of the certificate", "/etc/ssl/influxdb.pem", section="http"
    )
    https_private_key: str = option(
        "PEM file of the key; none: in the certificate's file", "", section="http"
    )
    unix_socket_enabled: bool = option(
        "Also listen on `bind-socket`, without TLS", False, section="http"
    )
    bind_socket: str = option("Path of the unix socket", "/var/run/influxdb.sock", section="http")
    unix_socket_group: str = option("Group of the unix socket", "", section="http")
    unix_socket_permissions: str = option(
        "Mode of the unix socket", "0660", section="http", octal=True
    )
    trusted_proxies: tuple[str, ...] = option(
        "Networks of proxies, such as `10.0.0.0/8` (note 2)", (), section="http"
    )
    max_connection_limit: int = option(
        "Connections of each worker (note 3); 0: no limit", 4096, section="http"
    )
    read_header_timeout: float = option(
        "Time for a request's head; `0s`: no limit", 10.0, section="http"
    )
    read_timeout: float = option("Time for a request's body; `0s`: no limit", 120.0, section="http")
    write_timeout: float = option(
        "Time for the client to take what was sent; `0s`: no limit", 60.0, section="http"
    )
    idle_timeout: float = option(
        "Time until the client's next request; `0s`: no limit", 120.0, section="http"
    )
    workers: int = option(
        "Worker processes on one store, 1 to 64",
        1,
        section="http",
        least=1,
        most=64,
        flag="--workers",
        metavar="N",
    )
    store_path: str = option(
        "Store file; created at the first start",
        "headgate.db",
        section="store",
        key="path",
        flag="--store",
        metavar="PATH",
    )
    bcrypt_cost: int = option(
        "4 to 14; a cheaper hash is replaced at the next successful login",
        BCRYPT_COST,
        section="auth",
        least=4,
        most=14,
    )
    password_min_length: int = option(
        "Characters that a new password needs, at most 72",
        MIN_PASSWORD_LENGTH,
        section="auth",
        most=72,
    )
    free_failures: int = option(
        "Failed logins of a user from one address before throttling", FREE_FAILURES, section="auth"
    )
    free_failures_address: int = option(
        "Failed logins of all users from one address before throttling (note 5)",
        FREE_FAILURES_PER_ADDRESS,
        section="auth",
    )
    longest_delay: float = option(
        "Maximum delay of a login (note 6); `0s` disables throttling",
        MAX_DELAY_SECONDS,
        section="auth",
    )
    throttle_status: int = option(
        "Status of a throttled login, `401` or `429` (note 7)",
        401,
        section="auth",
        among=(401, 429),
    )
    open_setup: bool = option(
        "`true`: the first query from any address may create the administrator",
        False,
        section="auth",
    )
    setup_token: str = field(default="", repr=False)  # made at startup, the same for all workers
    keep_last_admin: bool = option(
        "`false`: the last administrator can be dropped, as in InfluxDB",
        KEEP_LAST_ADMIN,
        section="auth",
    )
    password_change_ends_tokens: bool = option(
        "A new password ends tokens of the shared secret that were issued before it",
        True,
        section="auth",
    )
    user_keys: bool = option("Users may make API keys for themselves", True, section="auth")
    max_keys_per_user: int = option(
        "API keys of a user that are not revoked", 100, section="auth", least=1, most=100_000
    )
    api_key_max_seconds_to_live: int = option(
        "Longest lifetime of a new API key, in seconds; -1: no limit",
        -1,
        section="auth",
        least=-1,
    )
    login_cookie_name: str = option(
        "Name of the sessions' cookie (note 9)", "headgate_session", section="auth", header=True
    )
    login_maximum_inactive_lifetime_duration: float = option(
        "Time after which an unused session ends", 7 * 86_400.0, section="auth"
    )
    login_maximum_lifetime_duration: float = option(
        "Time after which a session ends; `0s`: no limit", 30 * 86_400.0, section="auth"
    )
    token_rotation_interval_minutes: int = option(
        "Age at which a session's cookie is replaced", 10, section="auth", least=1, most=1440
    )
    max_sessions_per_user: int = option(
        "Sessions of a user; the oldest end; 0: no limit", 0, section="auth", most=100_000
    )
    cookie_samesite: str = option(
        "`lax`, `strict` or `none` (needs `cookie-secure`)",
        "lax",
        section="auth",
        among=("lax", "strict", "none"),
        reader=word,
    )
    cookie_secure: str = option(
        "`true`: the cookie is for HTTPS only; `auto`: as the request came",
        "auto",
        section="auth",
        among=("auto", "true", "false"),
        reader=word,
    )
    console_enabled: str = option(
        "Serve `/console`; `auto`: by HTTPS, or on this machine alone",
        "auto",
        key="enabled",
        section="console",
        among=("auto", "true", "false"),
        reader=word,
    )
    console_title: str = option(
        "Name in the console's pages", "Headgate", key="title", section="console"
    )
    console_page_size: int = option(
        "Users and other rows on a page", 50, key="page-size", section="console", least=1, most=500
    )
    console_databases_shown: int = option(
        "Databases in a table of users and databases",
        20,
        key="databases-shown",
        section="console",
        least=1,
        most=200,
    )
    audit_file: str = option(
        "Also writes the audit here, one JSON object a line (note 8)",
        "",
        section="audit",
        key="file",
    )
    audit_retention: float = option(
        "Age at which audit records leave the store; `0s`: never",
        365 * 86_400.0,
        section="audit",
        key="retention",
    )
    jwt: JwtSettings = JwtSettings()
    ldap: LdapSettings = LdapSettings()
    gateway: GatewaySettings = GatewaySettings()
    source: SettingsSource = field(default_factory=SettingsSource, repr=False, compare=False)

    @property
    def shared_secrets(self) -> tuple[str, ...]:
        """All accepted shared secrets: several while an old secret is being replaced."""
        return tuple(filter(None, (self.shared_secret, *self.additional_secrets)))

    def is_exposed(self) -> bool:
        """Returns whether passwords may cross a network unencrypted."""
        host, _ = self.address()
        return not self.https_enabled and not (
            host == "localhost" or host == "::1" or host.startswith("127.")
        )

    def serves_console(self) -> bool:
        """Returns whether `/console` is served."""
        if self.console_enabled == "auto":
            return not self.is_exposed()
        return self.console_enabled == "true"

    def address(self) -> tuple[str, int]:
        """Returns the host ("" for all interfaces) and the port in `bind_address`.

        Raises ValueError if `bind_address` is not HOST:PORT.
        """
        host, colon, port = self.bind_address.rpartition(":")
        if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise ValueError(f"{self.bind_address!r} is no HOST:PORT")
        return host.removeprefix("[").removesuffix("]"), int(port)
