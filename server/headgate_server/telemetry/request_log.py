"""What the log says of one request."""

from dataclasses import dataclass


@dataclass(slots=True)
class Note:
    """What the log may say of a request: nothing here is secret.

    Statements are printed from their trees, passwords as `[REDACTED]`.
    """

    id: str = ""
    user: str = ""
    database: str = ""
    statements: str = ""
    error: str = ""  # the request's, or of its statements the first one's
