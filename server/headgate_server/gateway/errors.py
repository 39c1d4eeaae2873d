"""Errors of requests that a user may not send to a store, or that no store accepts."""

from headgate_engine import RequiredPrivilege


class DatabaseNotFound(Exception):
    """The request's database does not exist; raised only if the user may know that."""


class InvalidBucketName(Exception):
    """The name of a bucket contains no database."""


class WriteForbidden(Exception):
    """The user lacks WRITE on the database."""


class ReadForbidden(Exception):
    """The user lacks READ on the database."""


class Forbidden(Exception):
    """The user *name* lacks the privilege *need* for a request to an upstream store."""

    def __init__(self, name: str, need: RequiredPrivilege) -> None:
        super().__init__(f"{name} is not authorized: requires {need}")
        self.name, self.need = name, need


class UserLimitExceeded(Exception):
    """The user exceeds the limit of concurrent requests or of requests per second.

    *seconds* is the value of `Retry-After`.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many requests of this user, try again in {seconds} s")
        self.seconds = seconds


class NoWritableUpstream(Exception):
    """No store accepts a write through InfluxDB's API. *upstream* is True if any is configured."""

    def __init__(self, *, upstream: bool = False) -> None:
        found = "takes this API here" if upstream else "is configured"
        super().__init__(f"no upstream store {found}: data cannot be written")


class NotServed(Exception):
    """Headgate does not serve this path of InfluxDB's; *status* is the status of the answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
