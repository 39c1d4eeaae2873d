"""The table of errors and the HTTP statuses that answer them."""

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
    """The answer to a class of errors: status, prefix of InfluxDB's text, headers."""

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
    """Returns the text for the client, if *error* is answered with *row*."""
    if isinstance(error, TooManyFailures) and row.status == 401:
        return str(AuthenticationFailed())  # clients expect this text with this status
    return row.prefix + str(error)


def refusal(
    error: Exception, *, writing: bool = False, throttle_status: int = 429
) -> Refusal | None:
    """Returns the row of the class of *error*, or of its nearest base class.

    Returns None for an unforeseen error, which is a fault of Headgate. Telegraf drops a batch on
    any 4xx, so a throttled write (*writing*) is answered 503. If *throttle_status* is 401, a
    throttled login is answered like a failed one.
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
