"""The settings of the section `[http]`, with their types, default values and names in the file."""

from dataclasses import dataclass, field

from headgate_grammar import DIALECTS
from headgate_server.config.option_fields import option


@dataclass(frozen=True, slots=True)
class HTTPSettings:
    """The settings of `[http]`. A key that InfluxDB 1.x also has means the same in Headgate.

    Sizes are bytes, times are seconds. For a limit, 0 means no limit.
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
    base_url: str = option(
        "Address that people type, such as `https://metrics.example`; providers need it",
        "",
        section="http",
    )
    trusted_proxies: tuple[str, ...] = option(
        "Networks of proxies, such as `10.0.0.0/8` (note 2)", (), section="http"
    )
    proxy_headers: str = option(
        "Header fields that these proxies set: `x-forwarded` or `forwarded` (note 2)",
        "x-forwarded",
        section="http",
        among=("x-forwarded", "forwarded"),
    )
    proxy_protocol: bool = option(
        "Connections of these proxies begin with a PROXY header (note 12)", False, section="http"
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
    shutdown_delay: float = option(
        "After SIGTERM: time for which /health fails and requests are still answered",
        0.0,
        section="http",
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

    @property
    def shared_secrets(self) -> tuple[str, ...]:
        """All accepted shared secrets: several while an old secret is being replaced."""
        return tuple(filter(None, (self.shared_secret, *self.additional_secrets)))

    @property
    def trusted_origins(self) -> tuple[str, ...]:
        """The origins of pages that may send changes, beside the address of the request.

        A proxy in front may send another `Host` than that of `base-url`.
        """
        return (*self.allowed_origins, self.base_url) if self.base_url else self.allowed_origins

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
