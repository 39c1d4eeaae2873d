"""The result of a statement, and the interface of the encoders."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from headgate_engine import Result


@dataclass(frozen=True, slots=True)
class StatementResult:
    """One statement's result for a client, with warnings and its position in the query.

    *encoded* is the result in the format of the response, if a store has sent it so; see
    `ResultEncoder.renumber`.
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

    `feed` and `finish` raise ValueError for an invalid response, SeveralStatements for a response
    to several statements.
    """

    def feed(self, part: bytes) -> bytes:
        """Returns what can be sent after *part* has arrived."""
        ...

    def finish(self) -> tuple[bytes, str]:
        """Returns the rest of the result, and its error ("" for none)."""
        ...


class ResultEncoder(Protocol):
    """Encodes the results of one request. It has state: create one for each request."""

    @property
    def media_type(self) -> str:
        """The media type of the documents."""
        ...

    def encode_results(self, answers: Sequence[StatementResult]) -> bytes:
        """Returns a complete document; a chunked response has several in sequence."""
        ...

    def renumber(self, document: bytes, id: int) -> tuple[bytes, str]:
        """Returns the one result in *document* as that of statement *id*, encoded, and its error.

        *document* is an InfluxDB's response in this format. Numbers keep their spelling. Raises
        ValueError for an invalid response.
        """
        ...

    def document_start(self, count: int) -> bytes:
        """Returns the beginning of a document with *count* results."""
        ...

    def separator(self) -> bytes:
        """Returns the separator between a result that was sent and the next."""
        ...

    def encode_result(self, answer: StatementResult) -> bytes:
        """Returns *answer* as one result of a document."""
        ...

    def document_end(self) -> bytes:
        """Returns the end of a document."""
        ...

    def splice(self, id: int) -> Splice:
        """Returns a splice that makes an InfluxDB's response the result of statement *id*."""
        ...

    def multiple_statements_detector(self, *, chunked: bool) -> Callable[[bytes], bool]:
        """Returns a function to be called with each part of an InfluxDB's response as it arrives.

        That function returns whether the response has results of more than one statement.
        """
        ...

    def encode_error(self, text: str) -> bytes:
        """Returns the document that rejects a whole request because of *text*."""
        ...
