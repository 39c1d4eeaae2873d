"""Encodes results as JSON, byte for byte as Go's encoder writes it. Uses orjson.

Also changes the `statement_id` in JSON responses of an upstream InfluxDB, without decoding values.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from headgate_engine import Series
from headgate_server.formats.base import SeveralStatements, StatementResult
from headgate_server.http.go_text import replace_invalid

_HTML = {"<": r"\u003c", ">": r"\u003e", "&": r"\u0026", "\u2028": r"\u2028", "\u2029": r"\u2029"}
_SPECIAL = re.compile("[<>&\u2028\u2029]")
_SHORT_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
# Text that Go writes differently from orjson.
_GO_DIFFERENCES = re.compile(rb"[<>&]|\xe2\x80[\xa8\xa9]|\\[bf]")
_COMPACT = (b'{"results":[', b",", b"]}\n")
_PRETTY = (
    b'{\n    "results": [\n        ',
    b",\n        ",
    b"\n    ]\n}\n",
)
_ID = re.compile(rb'"statement_id":\s*([0-9]+)')
_MAX_ID_BYTES = 64
_MAX_HEAD_BYTES = 256
_FIRST_ID = re.compile(rb'(\{\s*"statement_id":\s*)0(?=[,\s}])')
_LAST_ERROR = re.compile(rb'[{,]\s*"error":\s*("(?:[^"\\]|\\.)*")\s*\}\Z')
_ONLY_ERROR = re.compile(rb'\{\s*"statement_id":\s*[0-9]+,\s*"error":')
# The last value of a result: series, messages, `"partial":true`, an error, or `statement_id`.
_RESULT_END = re.compile(rb'(?:\}\s*\]|"|true|false|[0-9])\s*\}\Z')
_MAX_ERROR_BYTES = 1 << 16
_MIN_RELEASED_BYTES = 1 << 14  # bytes; at least this much is sent at a time
_MAX_ERROR_RESULT_BYTES = 1 << 20
_LONG_ESCAPES = {"b": r"\u0008", "f": r"\u000c"}


class JsonEncoder:
    """Implements `ResultEncoder` for JSON: `{"results": ...}` or `{"error": ...}`.

    A line end follows each document.
    """

    media_type = "application/json"

    def __init__(self, *, pretty: bool = False) -> None:
        self.pretty = pretty

    def encode_results(self, answers: Sequence[StatementResult]) -> bytes:
        """Returns the document with the results of *answers*."""
        if all([answer.encoded is None for answer in answers]):
            return self.encode({"results": [*map(_result, answers)]} if answers else {})
        begin, between, end = _PRETTY if self.pretty else _COMPACT
        return begin + between.join(map(self._encode_result, answers)) + end

    def _encode_result(self, answer: StatementResult) -> bytes:
        if answer.encoded is not None:
            return answer.encoded
        begin, _, end = _PRETTY if self.pretty else _COMPACT
        return self.encode({"results": [_result(answer)]})[len(begin) : -len(end)]

    def document_start(self, count: int) -> bytes:
        """Returns the beginning of a document."""
        return (_PRETTY if self.pretty else _COMPACT)[0]

    def separator(self) -> bytes:
        """Returns the text between one result of a document and the next result."""
        return (_PRETTY if self.pretty else _COMPACT)[1]

    def encode_result(self, answer: StatementResult) -> bytes:
        """Returns *answer* as one result of a document."""
        return self._encode_result(answer)

    def document_end(self) -> bytes:
        """Returns the end of a document."""
        return (_PRETTY if self.pretty else _COMPACT)[2]

    def splice(self, id: int) -> "_JsonSplice":
        """Returns a `Splice` that sets the `statement_id` of the result to *id*."""
        return _JsonSplice(id, self.document_start(1), self.document_end())

    def multiple_statements_detector(self, *, chunked: bool) -> Callable[[bytes], bool]:
        """Returns a function that detects a second statement by its `statement_id`."""
        return _StatementIds(chunked).detect

    def renumber(self, document: bytes, id: int) -> tuple[bytes, str]:
        """Returns the only result in *document*, renumbered to *id*, and its error ("" if none)."""
        begin, _, end = _PRETTY if self.pretty else _COMPACT
        stripped = document.rstrip() + b"\n"
        if not stripped.startswith(begin) or not stripped.endswith(end):
            raise ValueError("not a response to one statement")
        result = stripped[len(begin) : -len(end)]
        head = _FIRST_ID.match(result)
        if head is None:
            raise ValueError("a response without statement_id")
        if len(_ID.findall(result)) > 1:
            raise SeveralStatements
        renumbered = head[1] + str(id).encode() + result[head.end() :]
        _check_end(renumbered)
        return renumbered, _error(renumbered)

    def encode_error(self, text: str) -> bytes:
        """Returns the document with the error *text*."""
        return self.encode({"error": text})

    def encode(self, content: Mapping[str, Any]) -> bytes:
        """Returns *content* as JSON, byte for byte as Go's encoder writes it."""
        if not self.pretty:
            try:
                quick = orjson.dumps(content, _as_dict, orjson.OPT_APPEND_NEWLINE)
            except TypeError:
                pass  # invalid UTF-8, or an integer beyond 64 bits
            else:
                if _GO_DIFFERENCES.search(quick) is None:
                    return quick
        return self._encode_with_json(content)

    def _encode_with_json(self, content: Mapping[str, Any]) -> bytes:
        if self.pretty:
            text = json.dumps(content, ensure_ascii=False, indent=4)
        else:
            text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        text = _SPECIAL.sub(lambda match: _HTML[match[0]], replace_invalid(text))
        if r"\b" in text or r"\f" in text:
            # Matched pair by pair: an escaped backslash before a letter b must stay whole.
            text = _SHORT_ESCAPE.sub(lambda m: _LONG_ESCAPES.get(m[1], m[0]), text)
        return text.encode() + b"\n"


class _StatementIds:
    """Detects results of several statements, by `statement_id`, as the parts of a response arrive.

    The search needs no JSON parser. Data cannot contain `"statement_id": 1`: in a JSON string its
    quotes are escaped, and the value of a tag with this name is a string.
    """

    def __init__(self, chunked: bool) -> None:
        self._chunked = chunked  # each chunk of a result repeats the `statement_id`
        self._found = False
        self._rest = b""

    def detect(self, part: bytes) -> bool:
        data = self._rest + part
        end = 0
        for match in _ID.finditer(data):
            if int(match[1]) or (self._found and not self._chunked):
                return True
            self._found, end = True, match.end()
        self._rest = data[max(end, len(data) - _MAX_ID_BYTES) :]
        return False


class _JsonSplice:
    """Implements `Splice` for JSON.

    Keeps the last 64 KiB of the response until `finish`, which looks there for the result's error.
    """

    def __init__(self, id: int, begin: bytes, end: bytes) -> None:
        self._id, self._begin, self._end = id, begin, end
        self._detect_multiple = _StatementIds(False).detect
        self._begun = self._is_error = False
        self._buffer = bytearray()

    def feed(self, part: bytes) -> bytes:
        if self._detect_multiple(part):
            raise SeveralStatements
        self._buffer += part
        if not self._begun and len(self._buffer) < _MAX_HEAD_BYTES:
            return b""
        self._start()
        size = len(self._buffer) - _MAX_ERROR_BYTES
        if self._is_error:
            if size > _MAX_ERROR_RESULT_BYTES:
                raise ValueError("the error is too long")
            return b""
        if size < _MIN_RELEASED_BYTES:
            return b""
        ready = bytes(self._buffer[:size])
        del self._buffer[:size]
        return ready

    def finish(self) -> tuple[bytes, str]:
        self._start()
        rest = bytes(self._buffer).rstrip() + b"\n"
        if not rest.endswith(self._end):
            raise ValueError("the response is truncated")
        rest = rest[: -len(self._end)]
        _check_end(rest)
        return rest, _error(rest)

    def _start(self) -> None:
        if self._begun:
            return
        begin = len(self._begin)
        head = _FIRST_ID.match(self._buffer, begin)
        if head is None or not self._buffer.startswith(self._begin):
            raise ValueError("a response without statement_id")
        self._buffer[begin : head.end()] = bytes(head[1]) + str(self._id).encode()
        del self._buffer[:begin]
        self._begun = True
        self._is_error = _ONLY_ERROR.match(self._buffer) is not None


def _as_dict(tags: Mapping[str, str]) -> dict[str, str]:
    """Returns *tags* as a dict: orjson calls this function for an object that it cannot encode.

    In a result, only the tags can be such an object: a mapping that is no dict.
    """
    return dict(tags)


def _result(answer: StatementResult) -> dict[str, Any]:
    content: dict[str, Any] = {"statement_id": answer.id}
    if answer.result.series:
        content["series"] = list(map(_series, answer.result.series))
    if answer.warning:
        content["messages"] = [{"level": "warning", "text": answer.warning}]
    if answer.result.error:
        content["error"] = answer.result.error
    return content


def _check_end(result: bytes) -> None:
    """Raises ValueError if the end of *result* is missing. *result* may lack its beginning."""
    if _RESULT_END.search(result[-_MAX_HEAD_BYTES:]) is None:
        raise ValueError("the result is truncated")


def _error(result: bytes) -> str:
    """Returns the error at the end of an encoded result, or ""."""
    only = _ONLY_ERROR.match(result) is not None
    found = _LAST_ERROR.search(result if only else result[-_MAX_ERROR_BYTES:])
    return str(json.loads(found[1])) if found is not None else ""


def _series(series: Series) -> dict[str, Any]:
    content: dict[str, Any] = {"name": series.name} if series.name else {}
    if series.tags:
        content["tags"] = series.tags
    content["columns"] = series.columns
    if series.values:
        content["values"] = series.values
    return content
