"""A parsed request that may be answered in a batch with others, without an asyncio task."""

from dataclasses import dataclass, field
from time import perf_counter

from headgate_server.http.response import RawHeaders


@dataclass(slots=True)
class BatchedRequest:
    """A complete request without a body. Names of header fields are in lower case.

    *keep_alive* is whether the connection may stay open after the response.
    """

    method: str
    url: bytes = field(repr=False)  # it may hold a password
    headers: RawHeaders = field(repr=False)
    client: tuple[str, int] | None
    version: str
    keep_alive: bool
    completed_at: float = field(default_factory=perf_counter)  # when the last byte had arrived
