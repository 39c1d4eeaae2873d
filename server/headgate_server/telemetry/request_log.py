"""The log record of a request."""

from dataclasses import dataclass


@dataclass(slots=True)
class RequestLog:
    """What the log may contain of a request: no secrets.

    Statements are printed from their trees, passwords as `[REDACTED]`.
    """

    id: str = ""
    user: str = ""
    database: str = ""
    statements: str = ""
    error: str = ""  # the request's, or its first failed statement's
