"""One statement's answer, and what a format makes of several."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from headgate_engine import Result


@dataclass(frozen=True, slots=True)
class Answer:
    """One statement's result as it goes to a client: with warnings, and its place in the query.

    *encoded* is the result in the request's format where it comes encoded from elsewhere; see
    Format.fragment.
    """

    id: int
    result: Result
    warning: str = ""
    encoded: bytes | None = None


class Format(Protocol):
    """One request's answers as bytes. Made anew for each request: what came before may count."""

    @property
    def media_type(self) -> str: ...

    def results(self, answers: Sequence[Answer]) -> bytes:
        """A whole document; a chunked answer has several of them, one after the other."""
        ...

    def fragment(self, document: bytes, id: int) -> tuple[bytes, str]:
        """The one result in *document*, an InfluxDB's answer in this format, as that of statement
        *id*: encoded, and its error. Figures stay as they were written. Raises ValueError.
        """
        ...

    def error(self, text: str) -> bytes:
        """Why the whole request is refused."""
        ...
