"""All settings of a server, with their types, default values and names in the file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headgate_engine import BCRYPT_COST, KEEP_LAST_ADMIN, MIN_PASSWORD_LENGTH
from headgate_server.config.gateway import GatewaySettings
from headgate_server.config.jwt import JwtSettings
from headgate_server.config.values import texts

# Defaults of the throttle: the number of failed logins without a delay, for each user and for each
# address, and the longest delay.
FREE_FAILURES = 5
FREE_FAILURES_PER_ADDRESS = 20
MAX_DELAY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class SettingsSource:
    """The flags, by key, and the path of the file from which settings were read.

    A reload reads the settings again from these flags, this file and the environment.
    """

    flags: Mapping[str, Any] = field(default_factory=dict, repr=False)
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one server.

    A field's metadata has its section and key in the configuration file, and the limits of its
    value. A key of `[http]` that InfluxDB 1.x also has means the same in Headgate. Sizes are bytes,
    times are seconds. For a limit, 0 means no limit.
    """

    bind_address: str = field(default="127.0.0.1:8086", metadata={"key": "http.bind-address"})
    auth_enabled: bool = field(default=True, metadata={"key": "http.auth-enabled"})
    shared_secret: str = field(default="", repr=False, metadata={"key": "http.shared-secret"})
    additional_secrets: tuple[str, ...] = field(default=(), repr=False)
    enforce_strong_secret: bool = field(
        default=False, metadata={"key": "http.enforce-strong-secret"}
    )
    realm: str = field(default="InfluxDB", metadata={"key": "http.realm", "header": True})
    max_body_size: int = field(default=25_000_000, metadata={"key": "http.max-body-size"})
    max_query_size: int = field(default=1_000_000, metadata={"key": "http.max-query-size"})
    max_statements: int = field(default=10_000, metadata={"key": "http.max-statements"})
    max_tokens: int = field(default=20_000, metadata={"key": "http.max-tokens"})
    max_statement_length: int = field(
        default=100_000, metadata={"key": "http.max-statement-length"}
    )
    allowed_origins: str = field(
        default="", metadata={"key": "http.allowed-origins", "words": True}
    )
    ping_auth_enabled: bool = field(default=False, metadata={"key": "http.ping-auth-enabled"})
    metrics_auth_enabled: bool = field(default=False, metadata={"key": "http.metrics-auth-enabled"})
    log_enabled: bool = field(default=True, metadata={"key": "http.log-enabled"})
    log_format: str = field(
        default="text", metadata={"key": "http.log-format", "among": ("text", "json")}
    )
    reported_version: str = field(
        default="1.8.10", metadata={"key": "http.reported-version", "header": True}
    )
    allow_insecure: bool = field(default=True, metadata={"key": "http.allow-insecure"})
    https_enabled: bool = field(default=False, metadata={"key": "http.https-enabled"})
    https_certificate: str = field(
        default="/etc/ssl/influxdb.pem", metadata={"key": "http.https-certificate"}
    )
    https_private_key: str = field(default="", metadata={"key": "http.https-private-key"})
    unix_socket_enabled: bool = field(default=False, metadata={"key": "http.unix-socket-enabled"})
    bind_socket: str = field(default="/var/run/influxdb.sock", metadata={"key": "http.bind-socket"})
    unix_socket_group: str = field(default="", metadata={"key": "http.unix-socket-group"})
    unix_socket_permissions: str = field(
        default="0660", metadata={"key": "http.unix-socket-permissions", "octal": True}
    )
    trusted_proxies: str = field(
        default="", metadata={"key": "http.trusted-proxies", "words": True}
    )
    max_connection_limit: int = field(default=4096, metadata={"key": "http.max-connection-limit"})
    read_header_timeout: float = field(default=10.0, metadata={"key": "http.read-header-timeout"})
    read_timeout: float = field(default=120.0, metadata={"key": "http.read-timeout"})
    write_timeout: float = field(default=60.0, metadata={"key": "http.write-timeout"})
    idle_timeout: float = field(default=120.0, metadata={"key": "http.idle-timeout"})
    workers: int = field(default=1, metadata={"key": "http.workers", "least": 1, "most": 64})
    store_path: str = field(default="headgate.db", metadata={"key": "store.path"})
    bcrypt_cost: int = field(
        default=BCRYPT_COST, metadata={"key": "auth.bcrypt-cost", "least": 4, "most": 14}
    )
    password_min_length: int = field(
        default=MIN_PASSWORD_LENGTH, metadata={"key": "auth.password-min-length", "most": 72}
    )
    free_failures: int = field(default=FREE_FAILURES, metadata={"key": "auth.free-failures"})
    free_failures_address: int = field(
        default=FREE_FAILURES_PER_ADDRESS, metadata={"key": "auth.free-failures-address"}
    )
    longest_delay: float = field(default=MAX_DELAY_SECONDS, metadata={"key": "auth.longest-delay"})
    throttle_status: int = field(
        default=401, metadata={"key": "auth.throttle-status", "among": (401, 429)}
    )
    open_setup: bool = field(default=False, metadata={"key": "auth.open-setup"})
    setup_token: str = field(default="", repr=False)  # made at startup, the same for all workers
    keep_last_admin: bool = field(default=KEEP_LAST_ADMIN, metadata={"key": "auth.keep-last-admin"})
    audit_file: str = field(default="", metadata={"key": "audit.file"})
    audit_retention: float = field(default=365 * 86400.0, metadata={"key": "audit.retention"})
    jwt: JwtSettings = JwtSettings()
    gateway: GatewaySettings = GatewaySettings()
    source: SettingsSource = field(default_factory=SettingsSource, repr=False, compare=False)

    @property
    def shared_secrets(self) -> tuple[str, ...]:
        """All shared secrets that may sign a token: several while a secret is being replaced."""
        return tuple(filter(None, (self.shared_secret, *self.additional_secrets)))

    @property
    def proxies(self) -> tuple[str, ...]:
        """The networks in `trusted_proxies`: proxies in them may report a client's address."""
        return texts(self.trusted_proxies)

    @property
    def origins(self) -> tuple[str, ...]:
        """The origins in `allowed_origins`, where commas or spaces separate them."""
        return texts(self.allowed_origins)

    def is_exposed(self) -> bool:
        """Returns whether passwords may cross a network unencrypted."""
        host, _ = self.address()
        return not self.https_enabled and not (
            host == "localhost" or host == "::1" or host.startswith("127.")
        )

    def address(self) -> tuple[str, int]:
        """Returns the host ("" for all interfaces) and the port in `bind_address`.

        Raises ValueError if `bind_address` is not HOST:PORT.
        """
        host, colon, port = self.bind_address.rpartition(":")
        if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise ValueError(f"{self.bind_address!r} is no HOST:PORT")
        return host.removeprefix("[").removesuffix("]"), int(port)
