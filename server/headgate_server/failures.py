"""What goes wrong between Headgate and a store behind it. No text says where that store is."""


class UpstreamError(Exception):
    """The store behind Headgate gave no answer."""


class Unreachable(UpstreamError):
    """No connection came about: it has heard nothing of the request."""

    def __init__(self) -> None:
        super().__init__("the upstream store cannot be reached")


class Silent(UpstreamError):
    """It took too long to answer. What it was asked for may have been done."""

    def __init__(self) -> None:
        super().__init__("the upstream store did not answer in time")


class Broken(UpstreamError):
    """It broke off, or spoke no HTTP. What it was asked for may have been done."""

    def __init__(self) -> None:
        super().__init__("the upstream store broke off, or gave no answer that can be understood")


class SeveralResults(UpstreamError):
    """It answered more statements than it was sent: what it was sent was read as something else."""

    def __init__(self) -> None:
        super().__init__("the upstream store answered more statements than it was sent")


class RefusesUs(UpstreamError):
    """It does not take the login that Headgate has there: nothing that a client could mend."""

    def __init__(self) -> None:
        super().__init__("the upstream store refused Headgate's own login there")


class Full(UpstreamError):
    """As many connections to it as there may be are busy: it has heard nothing of the request."""

    def __init__(self) -> None:
        super().__init__("too many requests to the upstream store, try again")


class Refused(UpstreamError):
    """It did not want to speak another protocol; *status* is what it answered."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the upstream store answered {status}")
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


class BrokenOff(Exception):
    """An answer ended before its end; the connection ends with it, so that the client knows."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
