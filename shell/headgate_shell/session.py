"""What a shell remembers from one statement to the next."""

from dataclasses import dataclass, field

from headgate_shell.client import HttpServer
from headgate_shell.server import Points, Response, Server


@dataclass(slots=True)
class Session:
    """Where the server is, who logs in, and how answers are asked for and shown."""

    host: str = "localhost"
    port: int = 8086
    socket: str = ""
    ssl: bool = False
    unsafe_ssl: bool = False
    path_prefix: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    database: str = ""
    retention_policy: str = ""
    format: str = "column"
    pretty: bool = False
    precision: str = "ns"
    consistency: str = "all"
    chunked: bool = True
    chunk_size: int = 0
    node: int = 0
    timing: bool = False
    pager: bool = True
    server_version: str = ""
    store: str = ""  # the file, where there is no server
    server: Server = field(default_factory=HttpServer)

    def ping(self) -> str:
        """The server's version, "" if it does not say. Raises CannotReach."""
        return self.server.ping(self)

    def query(self, text: str) -> Response:
        """What the server answers to the statements *text*. Raises CannotReach."""
        return self.server.query(self, text)

    def write(self, points: Points) -> str:
        """Writes *points*; why not, "" if it did. Raises CannotReach."""
        return self.server.write(self, points)

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
        return self.store or self.socket or self.url
