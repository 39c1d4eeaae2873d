"""The result of a statement, and the interface of the encoders."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from headgate_engine import Result


@dataclass(frozen=True, slots=True)
class Answer:
    """One statement's result for a client, with warnings and its position in the query.

    *encoded* is the result in the request's format, if it arrives encoded; see `Format.fragment`.
    """

    id: int
    result: Result
    warning: str = ""
    encoded: bytes | None = None


class SeveralStatements(ValueError):
    """The response has results of more than one statement."""

    def __init__(self) -> None:
        super().__init__("a response to several statements")


class Splice(Protocol):
    """Extracts the one result of an InfluxDB's streamed response, for a place in another response.

    `piece` and `end` raise ValueError for an invalid response, SeveralStatements for a response to
    several statements.
    """

    def piece(self, part: bytes) -> bytes:
        """Returns what can be sent after *part* has arrived."""
        ...

    def end(self) -> tuple[bytes, str]:
        """Returns the rest of the result, and its error ("" for none)."""
        ...


class Format(Protocol):
    """Encodes the results of one request. It has state: create one for each request."""

    @property
    def media_type(self) -> str:
        """The media type of the documents."""
        ...

    def results(self, answers: Sequence[Answer]) -> bytes:
        """Returns a complete document; a chunked response has several in sequence."""
        ...

    def fragment(self, document: bytes, id: int) -> tuple[bytes, str]:
        """Returns the one result in *document* as that of statement *id*, encoded, and its error.

        *document* is an InfluxDB's response in this format. Numbers keep their spelling. Raises
        ValueError.
        """
        ...

    def begin(self, count: int) -> bytes:
        """Returns the beginning of a document with *count* results."""
        ...

    def between(self) -> bytes:
        """Returns the separator between a result that was sent and the next."""
        ...

    def encoded(self, answer: Answer) -> bytes:
        """Returns *answer* as one result of a document."""
        ...

    def end(self) -> bytes:
        """Returns the end of a document."""
        ...

    def splice(self, id: int) -> Splice:
        """Returns a splice that turns an InfluxDB's response in this format into the result of
        *id*.
        """
        ...

    def several(self, *, chunked: bool) -> Callable[[bytes], bool]:
        """Returns a function to be called with each part of an InfluxDB's response as it arrives.

        It returns whether the response has results of more than one statement.
        """
        ...

    def error(self, text: str) -> bytes:
        """Returns the document that rejects a whole request because of *text*."""
        ...
