"""Requests that are wrong or too many, whatever they ask for."""


class BadRequest(Exception):
    """The request itself is wrong."""

    log_message = "bad request"  # what a client typed may hold a password


class UnsupportedMedia(Exception):
    """A body in an encoding or a format that is not taken here."""


class TooLarge(Exception):
    """More body than `max-body-size`."""

    def __init__(self) -> None:
        super().__init__("Request Entity Too Large")


class Overloaded(Exception):
    """Too many requests wait for the same thing already."""

    def __init__(self) -> None:
        super().__init__("too many requests in progress, try again")


class CrossSite(Exception):
    """A browser may have sent a change, or opens a WebSocket, for a page of another site."""

    def __init__(self, what: str = "a change") -> None:
        super().__init__(
            f"{what} that a page of another web site may have sent:"
            " see allowed-origins in [http]; a change by GET is refused from browsers"
        )
