"""The state of a shell between statements: connection, database, and output options."""

from copy import copy
from typing import Any, Self

from headgate_shell.backends.base import (
    Backend,
    ConnectionSettings,
    Points,
    RequestOptions,
    Response,
)
from headgate_shell.backends.http import HttpBackend

_LOCALHOST = ConnectionSettings()


class Session:
    """A backend, its connection settings, and the options of requests and of output.

    It is no dataclass: `dataclasses` would import `inspect`, which takes a tenth of a script's
    start.
    """

    def __init__(
        self,
        connection: ConnectionSettings = _LOCALHOST,
        *,
        database: str = "",
        format: str = "column",
        pretty: bool = False,
        consistency: str = "all",
        node: int = 0,
        store_path: str = "",
    ) -> None:
        self.connection = connection
        self.database = database
        self.format = format
        self.pretty = pretty
        self.consistency = consistency
        self.node = node
        self.store_path = store_path  # path of the store file, "" if there is a server
        self.retention_policy = ""
        self.precision = "ns"
        self.chunked = True
        self.chunk_size = 0
        self.show_timing = False
        self.use_pager = True
        self.to_terminal = False  # whether standard output is a terminal
        self.server_version = ""
        self.backend: Backend = HttpBackend()

    def copy_with(self, **changes: Any) -> Self:
        """Returns a shallow copy of this session, with *changes* to its attributes."""
        copied = copy(self)
        for name, value in changes.items():
            setattr(copied, name, value)
        return copied

    def ping(self) -> str:
        """Returns the server's version, or "" if the server does not send it.

        Raises ConnectionFailed.
        """
        return self.backend.ping(self.connection)

    def query(self, text: str) -> Response:
        """Sends the statements *text* and returns the response. Raises ConnectionFailed."""
        return self.backend.query(self.connection, text, self._options())

    def own_grants(self) -> Response | None:
        """Returns the grants of the session's user, or None if the server cannot say them."""
        return self.backend.own_grants(self.connection)

    def access(self, name: str) -> Response | None:
        """Returns a table of users and their privileges: see `Backend.access`."""
        return self.backend.access(self.connection, name)

    def account_request(
        self, method: str, path: str, content: Any = None
    ) -> tuple[int, Any] | None:
        """Sends a request about accounts: see `Backend.account_request`."""
        return self.backend.account_request(self.connection, method, path, content)

    def change_own_password(self, password: str) -> str | None:
        """Sets the password of the session's user; returns the error, "", or None if unsupported.

        Later requests of the session use the new password.
        """
        error = self.backend.change_own_password(self.connection, password)
        if error == "":
            self.connection = self.connection._replace(password=password)
        return error

    def write(self, points: Points) -> str:
        """Writes *points*; returns the server's error, or "". Raises ConnectionFailed."""
        return self.backend.write(self.connection, points, self._options())

    @property
    def display_name(self) -> str:
        """Name of the connection in messages: the path of the store file, or the server's name."""
        return self.store_path or self.connection.display_name

    def _options(self) -> RequestOptions:
        return RequestOptions(
            self.database,
            self.retention_policy,
            self.precision,
            self.consistency,
            self.chunked,
            self.chunk_size,
            self.node,
        )
