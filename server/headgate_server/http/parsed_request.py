"""A request that may be answered without a task of its own."""

from dataclasses import dataclass, field
from time import perf_counter

from headgate_server.http.response import Fields


@dataclass(slots=True)
class Request:
    """One without a body, as it was heard; names of header fields in small letters. *keep_alive*
    says whether the connection may stay open behind the answer.
    """

    method: str
    url: bytes = field(repr=False)  # it may hold a password
    headers: Fields = field(repr=False)
    client: tuple[str, int] | None
    version: str
    keep_alive: bool
    since: float = field(default_factory=perf_counter)  # when it was whole
