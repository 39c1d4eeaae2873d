"""Encodes results as MessagePack, with the keys that InfluxDB uses. Uses msgpack.

Also changes the `statement_id` in MessagePack responses of an upstream InfluxDB.
"""

import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any

import msgpack

from headgate_engine import Series, Value
from headgate_server.formats.base import SeveralStatements, StatementResult
from headgate_server.http.go_text import replace_invalid

_RESULTS = b"\x81\xa7results"
_AT_MOST_ONE = b"\x90\x91"  # the heads of arrays of zero and of one element
_FIRST = re.compile(rb"\x81\xa7results\x91([\x81-\x8f])\xacstatement_id\x00")
_MAX_HEAD_BYTES = 64
_MAX_ERROR_BYTES = 1 << 20
_MAX_VALUE_BYTES = 1 << 24
_FEED_BYTES = 1 << 16


class MessagePackEncoder:
    """Implements `ResultEncoder` for MessagePack.

    Unlike in JSON, the keys `results`, `series` and `values` are present also if their arrays are
    empty. A result with an error has no `series`.
    """

    media_type = "application/x-msgpack"

    def encode_results(self, answers: Sequence[StatementResult]) -> bytes:
        """Returns the document with the results of *answers*."""
        if all(answer.encoded is None for answer in answers):
            return _packed({"results": list(map(_result, answers))})
        return self.document_start(len(answers)) + b"".join(map(_encoded, answers))

    def document_start(self, count: int) -> bytes:
        """Returns the head of a document with *count* results."""
        packer = msgpack.Packer()
        head = packer.pack_map_header(1) + packer.pack("results")
        return bytes(head + packer.pack_array_header(count))

    def separator(self) -> bytes:
        """Returns nothing: MessagePack has no separators."""
        return b""

    def encode_result(self, answer: StatementResult) -> bytes:
        """Returns *answer* as one result of a document."""
        return _encoded(answer)

    def document_end(self) -> bytes:
        """Returns nothing: the head of the document states the number of results."""
        return b""

    def splice(self, id: int) -> "_MessagePackSplice":
        """Returns a `Splice` that sets the `statement_id` of the result to *id*."""
        return _MessagePackSplice(self, id)

    def multiple_statements_detector(self, *, chunked: bool) -> Callable[[bytes], bool]:
        """Returns a function that detects several statements by the number of results.

        If *chunked* is True, a `statement_id` other than 0 also shows several statements.
        """
        return _Documents().detect if chunked else _Head().detect

    def renumber(self, document: bytes, id: int) -> tuple[bytes, str]:
        """Returns the only result in *document*, renumbered to *id*, and its error ("" if none)."""
        try:
            # InfluxDB's times are an extension type, and stay unchanged.
            content = msgpack.unpackb(document, timestamp=0, strict_map_key=False)
            (only,) = content["results"]
            result = dict(only)
        except (ValueError, LookupError, TypeError, msgpack.UnpackException):
            raise ValueError("not a response to one statement") from None
        error = str(result.get("error", ""))
        return _packed({"statement_id": id} | result | {"statement_id": id}), error

    def encode_error(self, text: str) -> bytes:
        """Returns the document with the error *text*."""
        return _packed({"error": replace_invalid(text)})


class _Head:
    """Detects several results, by the number of results in the first bytes of a response."""

    def __init__(self) -> None:
        self._head: bytes | None = b""

    def detect(self, part: bytes) -> bool:
        if self._head is None:
            return False
        self._head += part
        if len(self._head) <= len(_RESULTS):
            return False
        found = self._head.startswith(_RESULTS) and self._head[len(_RESULTS)] not in _AT_MOST_ONE
        self._head = None
        return found


class _Documents:
    """Reads MessagePack documents as they arrive, and detects results of several statements.

    The values in a document are skipped, so that at most one value is in memory.
    """

    def __init__(self) -> None:
        self.found_several = False  # results of several statements
        self.complete = 0  # documents that were read to their end
        self._fed = self._end = 0  # bytes of all parts, and of the complete documents
        self._unpacker = msgpack.Unpacker(
            timestamp=0, strict_map_key=False, max_buffer_size=_MAX_VALUE_BYTES
        )
        self._walk = self._documents()

    def detect(self, part: bytes) -> bool:
        try:
            self.feed(part)
        except ValueError:
            return True  # an invalid response is treated as a response to several statements
        return self.found_several

    @property
    def at_boundary(self) -> bool:
        """Whether every document that has begun has ended."""
        return self._fed == self._end

    def feed(self, part: bytes) -> None:
        """Reads *part*. Raises ValueError for an invalid response."""
        self._fed += len(part)
        try:
            # In slices: a value that continues in the next part occupies the buffer.
            for begin in range(0, len(part), _FEED_BYTES):
                self._unpacker.feed(part[begin : begin + _FEED_BYTES])
                next(self._walk)
        except (ValueError, TypeError, msgpack.UnpackException, StopIteration):
            raise ValueError("not a response in MessagePack") from None

    def _documents(self) -> Iterator[None]:
        """Reads one document after the other, and yields whenever it needs more data."""
        while True:
            fields = yield from self._read(self._unpacker.read_map_header)
            for _ in range(fields):
                if (yield from self._read(self._unpacker.unpack)) == "results":
                    yield from self._results()
                else:
                    yield from self._read(self._unpacker.skip)
            self.complete += 1
            self._end = self._unpacker.tell()

    def _results(self) -> Generator[None, None, None]:
        count = yield from self._read(self._unpacker.read_array_header)
        self.found_several = self.found_several or count > 1
        for _ in range(count):
            fields = yield from self._read(self._unpacker.read_map_header)
            for _ in range(fields):
                if (yield from self._read(self._unpacker.unpack)) == "statement_id":
                    id = yield from self._read(self._unpacker.unpack)
                    self.found_several = self.found_several or id != 0
                else:
                    yield from self._read(self._unpacker.skip)

    def _read(self, read: Callable[[], Any]) -> Generator[None, None, Any]:
        while True:
            try:
                return read()
            except msgpack.OutOfData:
                yield


class _MessagePackSplice:
    """Implements `Splice` for MessagePack.

    A response that does not begin with `statement_id` holds an error. Such a response is buffered
    whole, and may have at most 1 MiB.
    """

    def __init__(self, format: MessagePackEncoder, id: int) -> None:
        self._format, self._id = format, id
        self._documents = _Documents()
        self._begun = False
        self._buffer = bytearray()

    def feed(self, part: bytes) -> bytes:
        self._documents.feed(part)
        documents = self._documents
        if documents.found_several or (documents.complete and not documents.at_boundary):
            raise SeveralStatements
        if self._begun:
            return part
        self._buffer += part
        if len(self._buffer) < _MAX_HEAD_BYTES:
            return b""
        head = _FIRST.match(self._buffer)
        if head is not None:
            begin = bytes(head[1]) + _packed_key() + bytes(msgpack.packb(self._id) or b"")
            rest, self._begun = bytes(self._buffer[head.end() :]), True
            self._buffer.clear()
            return begin + rest
        if len(self._buffer) > _MAX_ERROR_BYTES:
            raise ValueError("not a response to one statement")
        return b""

    def finish(self) -> tuple[bytes, str]:
        if self._documents.complete != 1 or not self._documents.at_boundary:
            raise ValueError("the response is truncated")
        return (b"", "") if self._begun else self._format.renumber(bytes(self._buffer), self._id)


def _packed_key() -> bytes:
    return bytes(msgpack.packb("statement_id") or b"")


def _encoded(answer: StatementResult) -> bytes:
    return answer.encoded if answer.encoded is not None else _packed(_result(answer))


def _result(answer: StatementResult) -> dict[str, Any]:
    content: dict[str, Any] = {"statement_id": answer.id}
    if answer.result.error:
        return content | {"error": replace_invalid(answer.result.error)}
    if answer.warning:
        content["messages"] = [{"level": "warning", "text": replace_invalid(answer.warning)}]
    content["series"] = list(map(_series, answer.result.series))
    return content


def _series(series: Series) -> dict[str, Any]:
    content: dict[str, Any] = {"name": replace_invalid(series.name)} if series.name else {}
    if series.tags:
        content["tags"] = {name: replace_invalid(value) for name, value in series.tags.items()}
    content["columns"] = series.columns
    content["values"] = [list(map(_cell, row)) for row in series.values]
    return content


def _cell(value: Value) -> Value:
    return replace_invalid(value) if isinstance(value, str) else value


def _packed(content: Mapping[str, Any]) -> bytes:
    packed: bytes | None = msgpack.packb(content)
    assert packed is not None  # None only if it writes to a stream
    return packed
