"""The HTTP status and the headers of the response to each class of errors."""

from dataclasses import dataclass, field

from headgate_engine import (
    AccessDenied,
    AuthenticationFailed,
    BadPassword,
    IdentityLinked,
    IdentityNotFound,
    IdentityTaken,
    IssuerLinked,
    KeyExists,
    KeyNotFound,
    LastAdmin,
    NotPending,
    OnlyWayToSignIn,
    OutcomeUnknown,
    SessionNotFound,
    StatementError,
    StoreUnavailable,
    TooManyKeys,
    TooManyPending,
    UserExists,
    UserNotFound,
)
from headgate_engine import (
    DatabaseNotFound as NoSuchDatabase,
)
from headgate_grammar import ParseError, UnparseError
from headgate_server.auth.errors import (
    AccessUnconfirmed,
    DirectoryUnavailable,
    KeysUnavailable,
    NoRights,
    SetUpForbidden,
    SignInAgain,
    SignUpOff,
    TooManyDevices,
    TooManyFailures,
    TooManySignUps,
    Unauthenticated,
)
from headgate_server.auth.oauth.errors import SignInRefused
from headgate_server.gateway.errors import (
    DatabaseNotFound,
    Forbidden,
    InvalidBucketName,
    NotServed,
    NoWritableUpstream,
    ReadForbidden,
    UserLimitExceeded,
    WriteForbidden,
)
from headgate_server.http.errors import (
    BadRequest,
    ChangeByGet,
    CrossSiteRequest,
    NotAPerson,
    Overloaded,
    OwnAccount,
    SessionsDisabled,
    TooLarge,
    UnsupportedMedia,
)
from headgate_server.upstream.errors import (
    ComponentNotConfigured,
    PoolExhausted,
    UnsupportedWriteFormat,
    UpstreamError,
    UpstreamRejected,
    UpstreamTimeout,
)


@dataclass(frozen=True, slots=True)
class ErrorStatus:
    """The answer to a class of errors: the status, the headers, and a prefix of the error's text.

    *prefix* makes the text equal to InfluxDB's, which clients compare.
    """

    status: int
    prefix: str = ""
    headers: dict[str, str] = field(default_factory=dict)


ERROR_STATUSES: dict[type[Exception], ErrorStatus] = {
    Unauthenticated: ErrorStatus(401),
    AuthenticationFailed: ErrorStatus(401),
    ParseError: ErrorStatus(400, "error parsing query: "),
    BadRequest: ErrorStatus(400),
    BadPassword: ErrorStatus(400),
    StatementError: ErrorStatus(400),
    KeyNotFound: ErrorStatus(404),
    SessionNotFound: ErrorStatus(404),
    KeyExists: ErrorStatus(409),
    TooManyKeys: ErrorStatus(409),
    UserExists: ErrorStatus(409),
    LastAdmin: ErrorStatus(409),
    UnparseError: ErrorStatus(400, "error parsing query: "),
    AccessDenied: ErrorStatus(403, "error authorizing query: "),
    WriteForbidden: ErrorStatus(403),
    ReadForbidden: ErrorStatus(403),
    Forbidden: ErrorStatus(403),
    CrossSiteRequest: ErrorStatus(403),
    NotAPerson: ErrorStatus(403),
    OwnAccount: ErrorStatus(403),
    SessionsDisabled: ErrorStatus(404),
    SignUpOff: ErrorStatus(404),
    SignInAgain: ErrorStatus(403),
    IdentityNotFound: ErrorStatus(404),
    IdentityLinked: ErrorStatus(409),
    IssuerLinked: ErrorStatus(409),
    NotPending: ErrorStatus(409),
    OnlyWayToSignIn: ErrorStatus(409),
    TooManyPending: ErrorStatus(503, headers={"Retry-After": "3600"}),
    ChangeByGet: ErrorStatus(405, headers={"Allow": "POST"}),
    SetUpForbidden: ErrorStatus(403, "error authorizing query: "),
    NoRights: ErrorStatus(403),
    IdentityTaken: ErrorStatus(403),
    DatabaseNotFound: ErrorStatus(404),
    NoSuchDatabase: ErrorStatus(404),
    UserNotFound: ErrorStatus(404),
    InvalidBucketName: ErrorStatus(404),
    TooLarge: ErrorStatus(413),
    UnsupportedMedia: ErrorStatus(415),
    NoWritableUpstream: ErrorStatus(501),
    UnsupportedWriteFormat: ErrorStatus(501),
    Overloaded: ErrorStatus(503, headers={"Retry-After": "1"}),
    OutcomeUnknown: ErrorStatus(500),
    StoreUnavailable: ErrorStatus(503, headers={"Retry-After": "1"}),
    AccessUnconfirmed: ErrorStatus(503, headers={"Retry-After": "10"}),
    DirectoryUnavailable: ErrorStatus(503, headers={"Retry-After": "1"}),
    KeysUnavailable: ErrorStatus(503, headers={"Retry-After": "1"}),
    ComponentNotConfigured: ErrorStatus(404),
    UpstreamError: ErrorStatus(502),
    UpstreamTimeout: ErrorStatus(504),
    PoolExhausted: ErrorStatus(503, headers={"Retry-After": "1"}),
}


def client_message(error: Exception, error_status: ErrorStatus) -> str:
    """Returns the error text that the response to *error* shows to the client.

    *error_status* has the status of this response, and the prefix of the text.
    """
    if isinstance(error, TooManyFailures) and error_status.status == 401:
        return str(AuthenticationFailed())  # clients expect this text with this status
    return error_status.prefix + str(error)


def error_status_for(
    error: Exception, *, writing: bool = False, throttle_status: int = 429
) -> ErrorStatus | None:
    """Returns the entry of `ERROR_STATUSES` for the class of *error* or its nearest base class.

    Returns None for an unforeseen error, which is a fault of Headgate. A throttled login is
    answered with *throttle_status*: 401 makes it look like a failed login. If *writing* is True, a
    throttled request is answered with 503, because Telegraf drops its data on any 4xx.
    """
    if isinstance(error, TooManyFailures | TooManyDevices | TooManySignUps | UserLimitExceeded):
        status = throttle_status if isinstance(error, TooManyFailures) else 429
        return ErrorStatus(503 if writing else status, headers={"Retry-After": str(error.seconds)})
    if isinstance(error, UpstreamRejected | NotServed | SignInRefused):
        return ErrorStatus(error.status)
    for kind in type(error).__mro__:
        if kind in ERROR_STATUSES:
            return ERROR_STATUSES[kind]
    return None
