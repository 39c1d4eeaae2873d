"""Errors of requests about an upstream store.

For example, the user lacks a privilege or exceeds a limit, the database is unknown, or no upstream
store can serve the request.
"""

from headgate_engine import RequiredPrivilege


class DatabaseNotFound(Exception):
    """The request's database does not exist.

    Raised only if the user would have the required privilege on a database of that name. Other
    users get another error, which does not reveal whether the database exists.
    """


class InvalidBucketName(Exception):
    """The parameter `bucket` of /api/v2/write names no database."""


class WriteForbidden(Exception):
    """The user lacks WRITE on the database of a write through InfluxDB's API."""


class ReadForbidden(Exception):
    """The user lacks READ on the database of a Prometheus remote read."""


class Forbidden(Exception):
    """The user *name* lacks *need*, the privilege that a request to an upstream store requires."""

    def __init__(self, name: str, need: RequiredPrivilege) -> None:
        super().__init__(f"{name} is not authorized: requires {need}")
        self.name, self.need = name, need


class UserLimitExceeded(Exception):
    """The user exceeds the limit of concurrent requests or of requests per second.

    *seconds* is the time after which the client may try again: the response's `Retry-After`.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many requests of this user, try again in {seconds} s")
        self.seconds = seconds


class NoWritableUpstream(Exception):
    """No upstream store accepts this write through InfluxDB's API.

    *upstream* is True if an upstream store is configured, but does not accept such a write.
    """

    def __init__(self, *, upstream: bool = False) -> None:
        found = "takes this API here" if upstream else "is configured"
        super().__init__(f"no upstream store {found}: data cannot be written")


class NotServed(Exception):
    """Headgate does not serve this path of InfluxDB. The response has *status* and *text*."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
