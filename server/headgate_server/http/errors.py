"""Errors of requests: invalid, unsupported, too large, too many, or from another site."""


class BadRequest(Exception):
    """The request itself is invalid."""

    log_message = "bad request"  # the client's text may hold a password


class UnsupportedMedia(Exception):
    """The encoding or the format of the body is unsupported."""


class TooLarge(Exception):
    """The body or the query is larger than the configured limit."""

    def __init__(self) -> None:
        super().__init__("Request Entity Too Large")


class Overloaded(Exception):
    """Too many requests wait for the same resource."""

    def __init__(self) -> None:
        super().__init__("too many requests in progress, try again")


class ChangeByGet(Exception):
    """A session may read by GET, and change by POST only: a link of any site can cause a GET."""

    def __init__(self) -> None:
        super().__init__("a session may change things by POST only")


class NotAPerson(Exception):
    """The path is for people that are signed in."""


class SessionsDisabled(Exception):
    """No session begins, because `login-cookie-name` is empty."""

    def __init__(self) -> None:
        super().__init__("sessions are off: see login-cookie-name")


class OwnAccount(Exception):
    """Administrators may not change their own account in this way."""

    def __init__(self) -> None:
        super().__init__("permission denied: this is your own account")


class CrossSiteRequest(Exception):
    """A browser may have sent the request for a page of another site.

    *what* names the effect of the request in the error text, such as `a change`.
    """

    def __init__(self, what: str = "a change") -> None:
        super().__init__(
            f"{what} that a page of another web site may have sent:"
            " see allowed-origins in [http]; a change by GET is refused from browsers"
        )
