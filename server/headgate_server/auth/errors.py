"""Errors of authentication: invalid credentials, throttled logins, a forbidden set-up."""

from headgate_engine import AuthenticationFailed, IdentityTaken, SignUpDisabled


class Unauthenticated(Exception):
    """The request has no credentials or invalid credentials.

    The client receives the text of this error.
    """


class TokenRejected(Unauthenticated):
    """The token is invalid, and *reason* says why.

    The log has the reason. The client receives only the text `invalid token`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__("invalid token")
        self.reason = reason

    @property
    def log_message(self) -> str:
        """The text for the log: the text that the client receives, followed by the reason."""
        return f"{self}: {self.reason}"


class LoginRefused(AuthenticationFailed):
    """The user that a proxy or a directory names may not log in, and *reason* says why.

    The log has the reason. The client receives only the text `authorization failed`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason

    @property
    def log_message(self) -> str:
        """The text for the log: the text that the client receives, followed by the reason."""
        return f"{self}: {self.reason}"


def refusal_of(error: SignUpDisabled | IdentityTaken, advice: str = "") -> LoginRefused:
    """Returns what a login raises after *error*: the client learns of no user's name.

    *advice* ends the reason for the log, if a user has the name already.
    """
    if isinstance(error, IdentityTaken):
        return LoginRefused(f"there is a user of this name without this identity{advice}")
    return LoginRefused("the user is new, and allow-sign-up is off")


class NoRights(Exception):
    """The claims give no rights, but `role-attribute-strict` requires a right in the claims."""

    def __init__(self) -> None:
        super().__init__("the token has no role here")


class KeysUnavailable(Exception):
    """The keys of an issuer are not available, so that its tokens cannot be verified."""

    def __init__(self) -> None:
        super().__init__("the keys to verify tokens with are not available, try again")


class AccessUnconfirmed(Exception):
    """The provider of a session has not confirmed its access for too long. The session stays."""

    def __init__(self) -> None:
        super().__init__("the provider of this sign-in does not answer, try again")


class DirectoryUnavailable(Exception):
    """No directory can verify the password now, and *reason* says why.

    The log has the reason. The client receives only the text of this error.
    """

    def __init__(self, reason: str) -> None:
        super().__init__("the directory is not available, try again")
        self.reason = reason

    @property
    def log_message(self) -> str:
        """The text for the log: the text that the client receives, followed by the reason."""
        return f"{self}: {self.reason}"


class TooManyFailures(Exception):
    """Too many logins from the client's address failed: of one user, or of all users together.

    The client may try again after *seconds*.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many failed logins, try again in {seconds} s")
        self.seconds = seconds


class SignUpOff(Exception):
    """People may not create accounts here."""

    def __init__(self) -> None:
        super().__init__("sign-up is disabled")


class TooManySignUps(Exception):
    """Too many accounts were created, or tried. The client may try again after *seconds*."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many sign-ups, try again in {seconds} s")
        self.seconds = seconds


class TooManyDevices(Exception):
    """Too many sign-ins on devices were begun from the client's address, and not approved.

    The client may try again after *seconds*.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many sign-ins were not approved, try again in {seconds} s")
        self.seconds = seconds


class SignInAgain(Exception):
    """The change needs a login of the last 15 minutes."""

    code = "again"

    def __init__(self) -> None:
        super().__init__("sign in again: this change needs a login of the last 15 minutes")


class SetUpForbidden(Exception):
    """A request may not create the first administrator.

    The request came from another machine, and had no valid set-up token.
    """

    def __init__(self) -> None:
        super().__init__(
            "the first administrator is created from the server's own machine, or with the set-up"
            " token that the server printed at its start: Authorization: Bearer <token>"
        )
