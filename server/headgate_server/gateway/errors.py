"""Requests that the user may not send to a store, or that no store takes."""

from headgate_engine import Need


class DatabaseMissing(Exception):
    """A database that the request names is not there, and the user may know it."""


class BucketMissing(Exception):
    """A bucket's name that names no database."""


class WriteDenied(Exception):
    """No right to write to that database."""


class ReadDenied(Exception):
    """No right to read from that database."""


class Denied(Exception):
    """A request to a store behind us needs what the user has not."""

    def __init__(self, name: str, need: Need) -> None:
        super().__init__(f"{name} is not authorized: requires {need}")
        self.name, self.need = name, need


class Busy(Exception):
    """The user has more requests under way, or sends more of them, than one may."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many requests of this user, try again in {seconds} s")
        self.seconds = seconds


class CannotWrite(Exception):
    """Data was sent by InfluxDB's API, and no store takes it. *upstream*: whether there are any."""

    def __init__(self, *, upstream: bool = False) -> None:
        found = "takes this API here" if upstream else "is configured"
        super().__init__(f"no upstream store {found}: data cannot be written")


class NotServed(Exception):
    """A path of InfluxDB's that Headgate does not serve; *status* as InfluxDB has it."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
