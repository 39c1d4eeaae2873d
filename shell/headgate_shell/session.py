"""What a shell remembers from one statement to the next."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Session:
    """Where the server is, who logs in, and how answers are asked for and shown."""

    host: str = "localhost"
    port: int = 8086
    socket: str = ""
    ssl: bool = False
    unsafe_ssl: bool = False
    username: str = ""
    password: str = field(default="", repr=False)
    database: str = ""
    retention_policy: str = ""
    format: str = "column"
    pretty: bool = False
    precision: str = "ns"
    consistency: str = "all"
    server_version: str = ""

    @property
    def address(self) -> str:
        """`host:port`, without the port where the scheme implies it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = 443 if self.ssl else 80
        return host if self.port == usual else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """`http://host:port`."""
        return f"{'https' if self.ssl else 'http'}://{self.address}"

    @property
    def where(self) -> str:
        """What a person is told that he is connected to."""
        return self.socket or self.url
