"""One statement's answer, and what a format makes of several."""

from collections.abc import Callable, Sequence
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


class SeveralStatements(ValueError):
    """An answer has results of more than one statement."""

    def __init__(self) -> None:
        super().__init__("an answer to several statements")


class Splice(Protocol):
    """Cuts the one result out of an InfluxDB's answer as it comes, for a place in another answer.

    `piece` and `end` raise ValueError for what is no answer, SeveralStatements for one to several.
    """

    def piece(self, part: bytes) -> bytes:
        """Returns what can be handed on after *part* has come."""
        ...

    def end(self) -> tuple[bytes, str]:
        """Returns the rest of the result, and its error ("" for none)."""
        ...


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

    def begin(self, count: int) -> bytes:
        """Returns the beginning of a document with *count* results."""
        ...

    def between(self) -> bytes:
        """Returns what stands between a result that was handed on and the next."""
        ...

    def encoded(self, answer: Answer) -> bytes:
        """Returns *answer* as one result of a document."""
        ...

    def end(self) -> bytes:
        """Returns the end of a document."""
        ...

    def splice(self, id: int) -> Splice:
        """Returns what makes an InfluxDB's answer in this format the result of statement *id*."""
        ...

    def several(self, *, chunked: bool) -> Callable[[bytes], bool]:
        """Returns a function to be called with each part of an InfluxDB's answer as it comes.

        It returns whether the answer has results of more than one statement.
        """
        ...

    def error(self, text: str) -> bytes:
        """Why the whole request is refused."""
        ...
