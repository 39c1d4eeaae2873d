"""Errors of authentication."""


class Unauthenticated(Exception):
    """The request has no credentials or invalid credentials. The client receives the text."""


class TokenRejected(Unauthenticated):
    """The token is invalid. *reason* says why, for the log; the client does not receive it."""

    def __init__(self, reason: str) -> None:
        super().__init__("invalid token")
        self.reason = reason

    @property
    def log_message(self) -> str:
        """The text for the log: the client's error text, and the reason."""
        return f"{self}: {self.reason}"


class TooManyFailures(Exception):
    """Too many logins from the client's address failed: of this user, or of all users together.

    The next attempt is possible after *seconds*.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many failed logins, try again in {seconds} s")
        self.seconds = seconds


class SetUpForbidden(Exception):
    """The request to create the first administrator came from another machine."""

    def __init__(self) -> None:
        super().__init__(
            "the first administrator is created from the server's own machine, or with the set-up"
            " token that the server printed at its start: Authorization: Bearer <token>"
        )
