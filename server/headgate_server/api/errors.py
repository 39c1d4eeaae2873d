"""Why a request is refused, and with which status: one table."""

from dataclasses import dataclass, field

from headgate_engine import AccessDenied, AuthenticationFailed, IdentityTaken, Unavailable
from headgate_grammar import ParseError, UnparseError
from headgate_server.auth.errors import (
    SetUpRefused,
    TooManyFailures,
    Unauthenticated,
)
from headgate_server.auth.jwt.claim_grants import NoRights
from headgate_server.auth.jwt.key_source import KeysUnavailable
from headgate_server.gateway.errors import (
    BucketMissing,
    Busy,
    CannotWrite,
    DatabaseMissing,
    Denied,
    NotServed,
    ReadDenied,
    WriteDenied,
)
from headgate_server.http.errors import (
    BadRequest,
    CrossSite,
    Overloaded,
    TooLarge,
    UnsupportedMedia,
)
from headgate_server.upstream.errors import (
    Answered,
    FormatUnknown,
    Full,
    NoComponent,
    Silent,
    UpstreamError,
)


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
