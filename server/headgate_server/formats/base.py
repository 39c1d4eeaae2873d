"""Defines `StatementResult`, and the Protocols that each format of responses implements.

`ResultEncoder` encodes results. `Splice` cuts a result out of an upstream InfluxDB's response.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from headgate_engine import Result


@dataclass(frozen=True, slots=True)
class StatementResult:
    """One statement's result for a client, with a warning and the statement's index *id*.

    *encoded* is the result in the format of the response, if an upstream store sent it in that
    format. `ResultEncoder.renumber` returns such bytes.
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
    """Cuts the only result out of an upstream InfluxDB's response while that response arrives.

    The caller sends the bytes of that result as part of Headgate's own response. `feed` and
    `finish` raise ValueError for an invalid response. Both raise SeveralStatements, a ValueError,
    for a response to several statements.
    """

    def feed(self, part: bytes) -> bytes:
        """Reads *part* of the response. Returns bytes of the result that can be sent to the client.

        Returns b"" if further parts are needed first.
        """
        ...

    def finish(self) -> tuple[bytes, str]:
        """Returns the rest of the result, and the result's error ("" without an error)."""
        ...


class ResultEncoder(Protocol):
    """Encodes the results of one request. It may keep state: use an encoder for one request only.

    A document is the text of a response such as `{"results": [...]}`.
    """

    @property
    def media_type(self) -> str:
        """The media type of the documents."""
        ...

    def encode_results(self, answers: Sequence[StatementResult]) -> bytes:
        """Returns a complete document with the results of *answers*.

        A chunked response is a sequence of such documents.
        """
        ...

    def renumber(self, document: bytes, id: int) -> tuple[bytes, str]:
        """Returns the only result in *document*, renumbered to *id*, and the result's error.

        The error is "" for a result without an error. *document* is the response of an upstream
        InfluxDB in this format. The values in the result are not converted: a number such as 1e3
        keeps its spelling. Raises ValueError for an invalid response.
        """
        ...

    def document_start(self, count: int) -> bytes:
        """Returns the beginning of a document with *count* results."""
        ...

    def separator(self) -> bytes:
        """Returns the text between one result of a document and the next result."""
        ...

    def encode_result(self, answer: StatementResult) -> bytes:
        """Returns *answer* as one result of a document."""
        ...

    def document_end(self) -> bytes:
        """Returns the end of a document."""
        ...

    def splice(self, id: int) -> Splice:
        """Returns a `Splice` that cuts out the result and sets its `statement_id` to *id*."""
        ...

    def multiple_statements_detector(self, *, chunked: bool) -> Callable[[bytes], bool]:
        """Returns a function that detects whether a response has results of several statements.

        Call that function with each part of an InfluxDB's response as the part arrives. *chunked*
        is whether the response is a sequence of documents.
        """
        ...

    def encode_error(self, text: str) -> bytes:
        """Returns the document of a rejected request, with the error *text*."""
        ...
