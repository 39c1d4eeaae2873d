"""Requests without a login that holds."""


class Unauthenticated(Exception):
    """The request shows no credentials, or such that prove nothing; `str()` is the answer."""


class TokenRejected(Unauthenticated):
    """A token that proves nothing. The client does not learn why: *reason* is for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__("invalid token")
        self.reason = reason

    @property
    def log_message(self) -> str:
        """The answer with the reason."""
        return f"{self}: {self.reason}"


class TooManyFailures(Exception):
    """Too many failed logins for that user from there, or from there at all."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many failed logins, try again in {seconds} s")
        self.seconds = seconds


class SetUpRefused(Exception):
    """The first administrator was to be created from elsewhere than this machine."""

    def __init__(self) -> None:
        super().__init__(
            "the first administrator is created from the server's own machine, or with the set-up"
            " token that the server printed at its start: Authorization: Bearer <token>"
        )
