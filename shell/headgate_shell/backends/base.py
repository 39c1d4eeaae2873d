"""What a shell asks of a server, and what it is answered."""

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from headgate_shell.session import Session


class CannotReach(Exception):
    """No answer. The text names the server and the reason, and nothing of the request.

    *step* is where it failed, as Go says it; `cause` is that with the reason.
    """

    def __init__(self, where: str, reason: str, step: str = "") -> None:
        super().__init__(f"{where}: {reason}")
        self.cause = f"{step}: {reason}" if step else reason


class Response(NamedTuple):
    """Results as the server sent them, chunks put together, and its error if there is one."""

    results: list[dict[str, Any]]
    error: str = ""

    @property
    def first_error(self) -> str:
        """The error of the whole, or else of the first result that has one."""
        if self.error:
            return self.error
        return next((str(result["error"]) for result in self.results if "error" in result), "")


class Points(NamedTuple):
    """Lines of data, and where they belong."""

    lines: str
    database: str
    retention_policy: str = ""


class Server(Protocol):
    """A server over HTTP, or a store file. Its methods raise CannotReach."""

    def ping(self, session: "Session") -> str:
        """The server's version, "" if it does not say."""
        ...

    def query(self, session: "Session", text: str) -> Response:
        """What the statements *text* are answered."""
        ...

    def write(self, session: "Session", points: Points) -> str:
        """Writes *points*; why not, as the server says it, "" if it did."""
        ...
