"""What a shell remembers from one statement to the next."""

from copy import copy
from typing import Any, Self

from headgate_shell.backends.base import Points, Response, Server
from headgate_shell.backends.http import HttpServer


class Session:
    """Where the server is, who logs in, and how answers are asked for and shown.

    A plain class: dataclasses would load `inspect`, a tenth of a script's start.
    """

    def __init__(
        self,
        host: str = "localhost",
        port: int = 8086,
        *,
        username: str = "",
        password: str = "",
        token: str = "",
        socket: str = "",
        ssl: bool = False,
        unsafe_ssl: bool = False,
        path_prefix: str = "",
        database: str = "",
        format: str = "column",
        pretty: bool = False,
        consistency: str = "all",
        node: int = 0,
        store: str = "",
    ) -> None:
        self.host = host
        self.port = port
        self.username = username
        self.password = password
        self.token = token
        self.socket = socket
        self.ssl = ssl
        self.unsafe_ssl = unsafe_ssl
        self.path_prefix = path_prefix
        self.database = database
        self.format = format
        self.pretty = pretty
        self.consistency = consistency
        self.node = node
        self.store = store  # the file, where there is no server
        self.retention_policy = ""
        self.precision = "ns"
        self.chunked = True
        self.chunk_size = 0
        self.timing = False
        self.pager = True
        self.on_terminal = False  # whether answers go to one, and not to a file or a program
        self.server_version = ""
        self.server: Server = HttpServer()

    def but(self, **changes: Any) -> Self:
        """Another session like this one, with *changes*."""
        other = copy(self)
        for name, value in changes.items():
            setattr(other, name, value)
        return other

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
    def address_with_port(self) -> str:
        """`host:port`, always with the port."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """`http://host:port`."""
        return f"{'https' if self.ssl else 'http'}://{self.address}"

    @property
    def where(self) -> str:
        """What a person is told that he is connected to."""
        return self.store or self.socket or self.url
