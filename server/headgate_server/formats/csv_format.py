"""CSV: a line of `name,tags,<columns>` and one a row; an empty line between statements."""

import csv
import io
from collections.abc import Sequence

from headgate_server.formats.answer import Answer
from headgate_server.text import readable


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

    def fragment(self, document: bytes, id: int) -> tuple[bytes, str]:
        return document, ""  # of an error InfluxDB shows nothing here

    def error(self, text: str) -> bytes:
        return _error(text).encode()


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
