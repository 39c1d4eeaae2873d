"""Errors of requests about an upstream store.

The user lacks the privilege, exceeds a limit, or names an unknown database, or no upstream store
can serve the request.
"""

from headgate_engine import RequiredPrivilege


class DatabaseNotFound(Exception):
    """The request's database does not exist.

    Raised only for a user with the privilege on a database of that name: the answer to other users
    does not reveal whether the database exists.
    """


class InvalidBucketName(Exception):
    """The parameter `bucket` of /api/v2/write names no database."""


class WriteForbidden(Exception):
    """The user lacks WRITE on the database of a write through InfluxDB's API."""


class ReadForbidden(Exception):
    """The user lacks READ on the database of a Prometheus remote read."""


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
    """No upstream store accepts this write through InfluxDB's API.

    *upstream* is True if an upstream store is configured.
    """

    def __init__(self, *, upstream: bool = False) -> None:
        found = "takes this API here" if upstream else "is configured"
        super().__init__(f"no upstream store {found}: data cannot be written")


class NotServed(Exception):
    """Headgate does not serve this InfluxDB path. *status* is the HTTP status of the answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
