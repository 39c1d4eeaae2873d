"""Why a request is refused, and with which status: one table."""

from dataclasses import dataclass, field

from headgate_engine import AccessDenied, AuthenticationFailed, IdentityTaken, Need, Unavailable
from headgate_grammar import ParseError, UnparseError
from headgate_server.failures import (
    Answered,
    BrokenOff,
    FormatUnknown,
    Full,
    NoComponent,
    Silent,
    UpstreamError,
)
from headgate_server.jwt import KeysUnavailable, NoRights


class Unauthenticated(Exception):
    """The request shows no credentials, or such that prove nothing; `str()` is the answer."""


class TokenRejected(Unauthenticated):
    """A token that proves nothing. Whoever sent it is not told why: *reason* is for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__("invalid token")
        self.reason = reason


class BadRequest(Exception):
    """The request itself is wrong."""


class UnsupportedMedia(Exception):
    """A body in an encoding or a format that is not taken here."""


class DatabaseMissing(Exception):
    """A database that the request names is not there, and the user may know it."""


class BucketMissing(Exception):
    """A bucket's name that names no database."""


class WriteDenied(Exception):
    """No right to write to that database."""


class Denied(Exception):
    """A request to a store behind us needs what the user has not."""

    def __init__(self, name: str, need: Need) -> None:
        super().__init__(f"{name} is not authorized: requires {need}")
        self.name, self.need = name, need


class Busy(Exception):
    """The user has more requests under way, or sends more of them, than one may."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many requests of this user, try again in {seconds} s")
        self.seconds = seconds


class CrossSite(Exception):
    """A browser may have sent a change, or opens a WebSocket, for a page of another site."""

    def __init__(self, what: str = "a change") -> None:
        super().__init__(
            f"{what} that a page of another web site may have sent:"
            " see allowed-origins in [http]; a change by GET is refused from browsers"
        )


class SetUpRefused(Exception):
    """The first administrator was to be created from elsewhere than this machine."""

    def __init__(self) -> None:
        super().__init__(
            "the first administrator is created from the server's own machine, or with the set-up"
            " token that the server printed at its start: Authorization: Bearer <token>"
        )


class TooLarge(Exception):
    """More body than `max-body-size`."""

    def __init__(self) -> None:
        super().__init__("Request Entity Too Large")


class Overloaded(Exception):
    """Too many requests wait for the same thing already."""

    def __init__(self) -> None:
        super().__init__("too many requests in progress, try again")


class TooManyFailures(Exception):
    """Too many failed logins for that user from there, or from there at all."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many failed logins, try again in {seconds} s")
        self.seconds = seconds


class CannotWrite(Exception):
    """Data was sent by InfluxDB's API, and no store takes it. *upstream*: whether there are any."""

    def __init__(self, *, upstream: bool = False) -> None:
        found = "takes this API here" if upstream else "is configured"
        super().__init__(f"no upstream store {found}: data cannot be written")


class NotServed(Exception):
    """A path of InfluxDB's that Headgate does not serve; *status* as InfluxDB has it."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class ReadDenied(Exception):
    """No right to read from that database."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a class of errors is answered: status, what InfluxDB says first, headers."""

    status: int
    prefix: str = ""
    headers: dict[str, str] = field(default_factory=dict)


REFUSALS: dict[type[Exception], Refusal] = {
    Unauthenticated: Refusal(401),
    AuthenticationFailed: Refusal(401),
    ParseError: Refusal(400, "error parsing query: "),
    BadRequest: Refusal(400),
    UnparseError: Refusal(400, "error parsing query: "),
    AccessDenied: Refusal(403, "error authorizing query: "),
    WriteDenied: Refusal(403),
    ReadDenied: Refusal(403),
    Denied: Refusal(403),
    CrossSite: Refusal(403),
    SetUpRefused: Refusal(403, "error authorizing query: "),
    NoRights: Refusal(403),
    IdentityTaken: Refusal(403),
    DatabaseMissing: Refusal(404),
    BucketMissing: Refusal(404),
    TooLarge: Refusal(413),
    UnsupportedMedia: Refusal(415),
    CannotWrite: Refusal(501),
    FormatUnknown: Refusal(501),
    Overloaded: Refusal(503, headers={"Retry-After": "1"}),
    Unavailable: Refusal(503, headers={"Retry-After": "1"}),
    KeysUnavailable: Refusal(503, headers={"Retry-After": "1"}),
    NoComponent: Refusal(404),
    UpstreamError: Refusal(502),
    Silent: Refusal(504),
    Full: Refusal(503, headers={"Retry-After": "1"}),
}


def client_text(error: Exception, row: Refusal) -> str:
    """What the client is told of *error*, which is refused as *row* says."""
    if isinstance(error, TooManyFailures) and row.status == 401:
        return str(AuthenticationFailed())  # clients know no other text with this status
    return row.prefix + str(error)


def told(error: Exception) -> str:
    """*error* for the log: without what a client typed where we did not understand it, for a
    password may be in it.
    """
    if isinstance(error, ParseError):
        return "query does not parse"
    if isinstance(error, BadRequest):
        return "bad request"
    if isinstance(error, TokenRejected | IdentityTaken):
        return f"{error}: {error.reason}"
    if isinstance(error, BrokenOff):
        error = error.error
    if isinstance(error, UpstreamError):
        return error.detail
    return str(error)


def refusal(
    error: Exception, *, writing: bool = False, throttle_status: int = 429
) -> Refusal | None:
    """The row for *error*: its class's, or that of the nearest class it derives from.

    None for one that was not foreseen: a fault of ours. Telegraf drops what is refused with a 4xx,
    so a client that is *writing* and has only to wait gets 503. Where *throttle_status* is 401, a
    login that is not looked at has the answer of a wrong one.
    """
    if isinstance(error, TooManyFailures | Busy):
        status = throttle_status if isinstance(error, TooManyFailures) else 429
        return Refusal(503 if writing else status, headers={"Retry-After": str(error.seconds)})
    if isinstance(error, Answered | NotServed):
        return Refusal(error.status)
    for kind in type(error).__mro__:
        if kind in REFUSALS:
            return REFUSALS[kind]
    return None
