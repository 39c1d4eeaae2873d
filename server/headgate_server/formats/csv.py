"""Encodes results as CSV, and forwards CSV responses of an upstream InfluxDB.

A table has a line `name,tags,<columns>` and a line for each row. An empty line separates the tables
of two statements.
"""

import csv
import io
from collections.abc import Callable, Sequence

from headgate_server.formats.base import StatementResult
from headgate_server.http.go_text import replace_invalid


class CsvEncoder:
    """Implements `ResultEncoder` for CSV.

    A failed statement becomes a table with the column `error`; InfluxDB's CSV omits errors. A
    statement without rows has no output.
    """

    def __init__(self, media_type: str = "text/csv") -> None:
        self.media_type = media_type
        self._begun = False

    def encode_results(self, answers: Sequence[StatementResult]) -> bytes:
        """Returns the tables of *answers*."""
        text = "\n".join(filter(None, map(_table, answers)))
        if text and self._begun:
            text = "\n" + text
        self._begun = self._begun or bool(text)
        return text.encode()

    def document_start(self, count: int) -> bytes:
        """Returns nothing: a CSV document begins with its first table."""
        return b""

    def separator(self) -> bytes:
        """Returns nothing: other methods add the empty line between tables where it is needed."""
        return b""  # `encode_result` and `splice` add the separator: a statement may have no output

    def encode_result(self, answer: StatementResult) -> bytes:
        """Returns the table of *answer*, after an empty line if a table precedes it."""
        return self.encode_results([answer])

    def document_end(self) -> bytes:
        """Returns nothing: a CSV document ends with its last table."""
        return b""

    def splice(self, id: int) -> "_CsvSplice":
        """Returns a `Splice` that adds an empty line first, unless the result is the first.

        *id* is unused: CSV has no `statement_id`.
        """
        separator, self._begun = b"\n" if self._begun else b"", True
        return _CsvSplice(separator)

    def multiple_statements_detector(self, *, chunked: bool) -> Callable[[bytes], bool]:
        """Returns a function that looks for an empty line: it separates two statements."""
        return _EmptyLines().detect

    def renumber(self, document: bytes, id: int) -> tuple[bytes, str]:
        """Returns *document* unchanged, because CSV has no `statement_id`, and "" as the error."""
        return document, ""  # InfluxDB's CSV does not show errors

    def encode_error(self, text: str) -> bytes:
        """Returns a table with *text* in the column `error`."""
        return _error(text).encode()


class _EmptyLines:
    """Detects an empty line outside quotes, which separates statements.

    In results of SHOW STATS and SHOW DIAGNOSTICS, an empty line also separates tables with
    different columns. Such a result is therefore detected as several statements.
    """

    def __init__(self) -> None:
        self._quoted = False
        self._line_end = True  # also at the start: no response begins with an empty line

    def detect(self, part: bytes) -> bool:
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
    """Implements `Splice` for CSV.

    The caller must check first that the response has content: an error in InfluxDB's CSV is an
    empty response.
    """

    def __init__(self, separator: bytes) -> None:
        self._separator = separator
        self._last = b""
        self._quotes = 0

    def feed(self, part: bytes) -> bytes:
        separator, self._separator = self._separator, b""
        self._last = part[-1:] or self._last
        self._quotes += part.count(b'"')
        return separator + part

    def finish(self) -> tuple[bytes, str]:
        if self._last != b"\n" or self._quotes % 2:
            raise ValueError("the response is truncated")
        return b"", ""  # InfluxDB's CSV does not show errors


def _table(answer: StatementResult) -> str:
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
    return replace_invalid(file.getvalue())


def _cell(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value
