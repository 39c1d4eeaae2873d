"""Errors of requests to upstream stores.

The text is for clients and never names the store. The address and the reason are for the log.
"""

from headgate_server.telemetry.log_message import log_message


class UpstreamError(Exception):
    """The upstream store returned no valid answer. *reason* and `address` are for the log only."""

    text = "the upstream store gave no answer"

    def __init__(self, reason: str = "") -> None:
        super().__init__(self.text)
        self.reason = reason
        self.address = ""

    @property
    def log_message(self) -> str:
        """The text, followed by the store's address and the reason if they are set."""
        return ": ".join(filter(None, (str(self), self.address, self.reason)))


class UpstreamUnreachable(UpstreamError):
    """No connection was made: the store has received nothing of the request."""

    text = "the upstream store cannot be reached"


class UpstreamTimeout(UpstreamError):
    """The store did not answer in time. It may have executed the request."""

    text = "the upstream store did not answer in time"


class UpstreamProtocolError(UpstreamError):
    """The connection broke, or the answer is invalid. The store may have executed the request."""

    text = "the upstream store broke off, or gave no answer that can be understood"


class UnexpectedResults(UpstreamError):
    """The store returned several results for one statement.

    The store must have parsed the text in another way than Headgate.
    """

    text = "the upstream store answered more statements than it was sent"


class UpstreamAuthError(UpstreamError):
    """The store rejects the login that Headgate itself uses. A client cannot correct this."""

    text = "the upstream store refused Headgate's own login there"


class PoolExhausted(UpstreamError):
    """The connection pool is exhausted: the store has received nothing of the request."""

    text = "too many requests to the upstream store, try again"


class HandshakeRejected(UpstreamError):
    """The store rejected a WebSocket handshake with *status*."""

    text = "the upstream store refused to open a WebSocket"

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


class UpstreamRejected(Exception):
    """The store rejected the whole request; the client receives its *status* and *text*."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class ComponentNotConfigured(Exception):
    """The request is for *component* of the store, but no address of it is configured.

    If *component* is "", the request is for the store as a whole.
    """

    def __init__(self, component: str) -> None:
        what = f"no {component}" if component else "no address"
        super().__init__(f"{what} of the upstream store is configured")


class UnsupportedWriteFormat(Exception):
    """Headgate cannot read the client's own labels in the format of the write."""

    def __init__(self) -> None:
        super().__init__(
            "Headgate cannot read labels in this format: write in another format,"
            " or set overwrite-label = true and max-labels = 0"
        )


class ResponseAborted(Exception):
    """A response failed after it had begun.

    The connection to the client is closed, so that the client detects the incomplete response.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error

    @property
    def log_message(self) -> str:
        """The text of the error for the log."""
        return log_message(self.error)
