"""The interface `Backend`, by which the shell sends statements to a server or a store file.

The classes of its arguments, results and error are here, too.
"""

from typing import Any, NamedTuple, Protocol


class ConnectionFailed(Exception):
    """The backend returned no response.

    `str()` names the server by *display_name*, and gives the *reason*. The text omits the
    request, which may hold secrets. *step* names the failed step as Go does, for example `dial tcp
    HOST:PORT: connect`. The attribute `cause` is *step* with *reason*.
    """

    def __init__(self, display_name: str, reason: str, step: str = "") -> None:
        super().__init__(f"{display_name}: {reason}")
        self.cause = f"{step}: {reason}" if step else reason


class SavedLogin(Protocol):
    """The session of `headgate login` at the server *url*, of the user *user*."""

    url: str
    user: str

    def cookie(self) -> str:
        """Returns the header field `Cookie`; "" if the session is gone.

        Raises ValueError if it cannot be read.
        """
        ...

    def replace(self, field: str) -> None:
        """Stores the session in *field*, a value of `Set-Cookie`."""
        ...


class ConnectionSettings(NamedTuple):
    """Address of a server, and the login that each request carries.

    *session* is used at its own server only, and without another login.

    Immutable, like a frozen dataclass. `dataclasses` would import `inspect`, which takes a tenth of
    a script's start.
    """

    host: str = "localhost"
    port: int = 8086
    username: str = ""
    password: str = ""
    token: str = ""
    socket: str = ""
    ssl: bool = False
    unsafe_ssl: bool = False
    path_prefix: str = ""
    session: SavedLogin | None = None

    def __repr__(self) -> str:
        return f"ConnectionSettings({self.display_name!r}, username={self.username!r})"

    @property
    def address(self) -> str:
        """`host:port`, without the port if it is the default of the scheme."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default_port = 443 if self.ssl else 80
        return host if self.port == default_port else f"{host}:{self.port}"

    @property
    def address_with_port(self) -> str:
        """`host:port`, always with the port."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """`http://host:port` or `https://host:port`, without the path prefix."""
        return f"{'https' if self.ssl else 'http'}://{self.address}"

    @property
    def session_url(self) -> str:
        """The URL that a saved session is for: always with the port; "" for a Unix socket."""
        if self.socket:
            return ""
        prefix = self.path_prefix.strip("/")
        scheme = "https" if self.ssl else "http"
        url = f"{scheme}://{self.address_with_port.lower()}"
        return f"{url}/{prefix}" if prefix else url

    @property
    def current_session(self) -> SavedLogin | None:
        """The session, if it is that of this server and there is no other login; else None."""
        session = self.session
        if session is None or self.token or self.username:
            return None
        return session if session.url == self.session_url else None

    @property
    def display_name(self) -> str:
        """Name of the server in messages: the path of its Unix socket, or its URL."""
        return self.socket or self.url


class RequestOptions(NamedTuple):
    """Parameters of `/query` and `/write` that a session keeps between requests.

    If *node* or *chunk_size* is 0, the request leaves that parameter out.
    """

    database: str = ""
    retention_policy: str = ""
    precision: str = "ns"
    consistency: str = "all"
    chunked: bool = True
    chunk_size: int = 0
    node: int = 0


class Response(NamedTuple):
    """The results of a query, with all chunks joined, and the server's error or ""."""

    results: list[dict[str, Any]]
    error: str = ""

    @property
    def first_error(self) -> str:
        """The error of the whole response, else of the first failed result, else ""."""
        if self.error:
            return self.error
        return next((str(result["error"]) for result in self.results if "error" in result), "")


class Points(NamedTuple):
    """Lines of line protocol, and the database and retention policy that they are written to."""

    lines: str
    database: str
    retention_policy: str = ""


class Backend(Protocol):
    """The receiver of the shell's statements: an HTTP server, or an engine on a store file.

    Its methods raise ConnectionFailed if there is no response.
    """

    def ping(self, connection: ConnectionSettings) -> str:
        """Returns the server's version, or "" if the server does not send it."""
        ...

    def query(self, connection: ConnectionSettings, text: str, options: RequestOptions) -> Response:
        """Executes the statements *text* and returns the response."""
        ...

    def own_grants(self, connection: ConnectionSettings) -> Response | None:
        """Returns the grants of the session's user as SHOW GRANTS does.

        Returns None for an administrator, who may list all users, or if unsupported.
        """
        ...

    def access(self, connection: ConnectionSettings, name: str) -> Response | None:
        """Returns a table of the users with access to the database *name*, or of one user *name*.

        With *name* "" it has all users, at most 1,000. None if unsupported.
        """
        ...

    def account_request(
        self, connection: ConnectionSettings, method: str, path: str, content: Any = None
    ) -> tuple[int, Any] | None:
        """Sends *content* as JSON to *path*, an endpoint of Headgate's accounts.

        Returns the status and the content of the response, or None if unsupported.
        """
        ...

    def change_own_password(self, connection: ConnectionSettings, password: str) -> str | None:
        """Sets the password of the session's user to *password*.

        Returns the error, "" on success, or None if unsupported.
        """
        ...

    def write(self, connection: ConnectionSettings, points: Points, options: RequestOptions) -> str:
        """Writes *points*; returns the server's error, or "" on success."""
        ...
