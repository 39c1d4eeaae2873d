"""What goes wrong between Headgate and a store behind it.

The text is for clients and never names the store; address and reason are for the log.
"""

from headgate_server.telemetry.log_message import log_message


class UpstreamError(Exception):
    """The store behind Headgate gave no answer. *reason* and `address` are for the log only."""

    text = "the upstream store gave no answer"

    def __init__(self, reason: str = "") -> None:
        super().__init__(self.text)
        self.reason = reason
        self.address = ""

    @property
    def log_message(self) -> str:
        """The text with the store's address and the reason, as far as they are known."""
        return ": ".join(filter(None, (str(self), self.address, self.reason)))


class Unreachable(UpstreamError):
    """No connection came about: it has heard nothing of the request."""

    text = "the upstream store cannot be reached"


class Silent(UpstreamError):
    """It took too long to answer. What it was asked for may have been done."""

    text = "the upstream store did not answer in time"


class Broken(UpstreamError):
    """It broke off, or spoke no HTTP. What it was asked for may have been done."""

    text = "the upstream store broke off, or gave no answer that can be understood"


class SeveralResults(UpstreamError):
    """It answered more statements than it was sent: what it was sent was read as something else."""

    text = "the upstream store answered more statements than it was sent"


class RefusesUs(UpstreamError):
    """It does not take the login that Headgate has there: nothing that a client could mend."""

    text = "the upstream store refused Headgate's own login there"


class Full(UpstreamError):
    """As many connections to it as there may be are busy: it has heard nothing of the request."""

    text = "too many requests to the upstream store, try again"


class Refused(UpstreamError):
    """It did not want to speak another protocol; *status* is what it answered."""

    text = "the upstream store refused to open a WebSocket"

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


class Answered(Exception):
    """It refused the whole request; the client is told so, in its words."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class NoComponent(Exception):
    """The part of it that a request is for has no address."""

    def __init__(self, component: str) -> None:
        what = f"no {component}" if component else "no address"
        super().__init__(f"{what} of the upstream store is configured")


class FormatUnknown(Exception):
    """A write in a format in which Headgate finds no labels, to a store that needs one."""

    def __init__(self, label: str) -> None:
        super().__init__(
            f"a label {label} in this format would be lost: write in another format,"
            " or set overwrite-label"
        )


class BrokenOff(Exception):
    """An answer ended before its end; the connection ends with it, so that the client knows."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error

    @property
    def log_message(self) -> str:
        """The text of the error for the log."""
        return log_message(self.error)
