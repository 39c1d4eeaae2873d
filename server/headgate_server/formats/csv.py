"""CSV: a line of `name,tags,<columns>` and one a row; an empty line between statements."""

import csv
import io
from collections.abc import Callable, Sequence

from headgate_server.formats.base import Answer
from headgate_server.http.go_text import readable


class Csv:
    """Statements without rows leave no trace, errors are shown (InfluxDB loses them)."""

    def __init__(self, media_type: str = "text/csv") -> None:
        self.media_type = media_type
        self._begun = False

    def results(self, answers: Sequence[Answer]) -> bytes:
        text = "\n".join(filter(None, map(_table, answers)))
        if text and self._begun:
            text = "\n" + text
        self._begun = self._begun or bool(text)
        return text.encode()

    def begin(self, count: int) -> bytes:
        return b""

    def between(self) -> bytes:
        return b""  # `encoded` and `splice` see to it: a statement may leave no trace

    def encoded(self, answer: Answer) -> bytes:
        return self.results([answer])

    def end(self) -> bytes:
        return b""

    def splice(self, id: int) -> "_CsvSplice":
        separator, self._begun = b"\n" if self._begun else b"", True
        return _CsvSplice(separator)

    def several(self, *, chunked: bool) -> Callable[[bytes], bool]:
        return _EmptyLines().found

    def fragment(self, document: bytes, id: int) -> tuple[bytes, str]:
        return document, ""  # of an error InfluxDB shows nothing here

    def error(self, text: str) -> bytes:
        return _error(text).encode()


class _EmptyLines:
    """Looks for an empty line outside of quotes, which stands between statements.

    It also stands where columns change within a statement: SHOW STATS and SHOW DIAGNOSTICS alone
    do that.
    """

    def __init__(self) -> None:
        self._quoted = False
        self._line_end = True  # of nothing: an answer does not begin with an empty line

    def found(self, part: bytes) -> bool:
        for index, text in enumerate(part.split(b'"')):
            if index:
                self._quoted = not self._quoted
                self._line_end = False
            if not self._quoted and text:
                if b"\n\n" in text or (self._line_end and text.startswith(b"\n")):
                    return True
                self._line_end = text.endswith(b"\n")
        return False


class _CsvSplice:
    """See Splice. An answer without rows has to be noticed before: it may be an error."""

    def __init__(self, separator: bytes) -> None:
        self._separator = separator
        self._last = b""
        self._quotes = 0

    def piece(self, part: bytes) -> bytes:
        separator, self._separator = self._separator, b""
        self._last = part[-1:] or self._last
        self._quotes += part.count(b'"')
        return separator + part

    def end(self) -> tuple[bytes, str]:
        if self._last != b"\n" or self._quotes % 2:
            raise ValueError("an answer without its end")
        return b"", ""  # of an error InfluxDB shows nothing here


def _table(answer: Answer) -> str:
    if answer.encoded is not None:
        return answer.encoded.decode("utf-8", "replace")
    if answer.result.error:
        return _error(answer.result.error)
    rows: list[Sequence[object]] = []
    for series in answer.result.series:
        rows.append(("name", "tags", *series.columns))
        tags = ",".join(f"{name}={value}" for name, value in series.tags.items())
        for row in series.values:
            rows.append((series.name, tags, *map(_cell, row)))
    return _csv(rows)


def _error(text: str) -> str:
    return _csv([("error",), (text,)])


def _csv(rows: Sequence[Sequence[object]]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    return readable(file.getvalue())


def _cell(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value
