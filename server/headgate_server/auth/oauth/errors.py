"""Errors of a sign-in by a provider: the sentence for the person, the reason for the log."""


class SignInRefused(Exception):
    """The sign-in ends. *status* is that of the response, and *reason* is for the log alone.

    No reason has a code, a token, a secret or a claim of the person.
    """

    def __init__(self, status: int, sentence: str, reason: str = "") -> None:
        super().__init__(sentence)
        self.status = status
        self.reason = reason

    @property
    def log_message(self) -> str:
        """The sentence, followed by the reason."""
        return ": ".join(filter(None, (str(self), self.reason)))


class ProviderUnavailable(SignInRefused):
    """The provider does not answer, or not as it should: it may later."""

    def __init__(self, reason: str, status: int = 502) -> None:
        super().__init__(status, "the provider did not answer as expected, try again", reason)


class AccessRefused(SignInRefused):
    """The provider, or a rule about its accounts, refuses the access."""

    def __init__(self, reason: str, sentence: str = "this account may not sign in here") -> None:
        super().__init__(403, sentence, reason)


class NotBegunHere(SignInRefused):
    """The callback belongs to no sign-in that this browser has begun."""

    def __init__(self, reason: str) -> None:
        super().__init__(400, "this sign-in was not begun here, or too long ago", reason)
