"""A completely received request, as the server's connection parsed it."""

from dataclasses import dataclass, field
from time import perf_counter

from headgate_server.http.header_fields import Headers


@dataclass(slots=True)
class ParsedRequest:
    """A request with its whole *body*. Names of header fields are in lower case.

    *keep_alive* is whether the connection may stay open after the response.
    """

    method: str
    url: bytes = field(repr=False)  # it may hold a password
    headers: Headers = field(repr=False)
    client: tuple[str, int] | None
    version: str
    keep_alive: bool
    body: bytes = field(default=b"", repr=False)
    completed_at: float = field(default_factory=perf_counter)  # when the last byte had arrived
    relayed_client: str | None = None  # see `RELAYED_CLIENT` of the module `request`
