"""Results as the text of an answer: JSON to the letter as Go writes it, or CSV."""

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headgate_engine import Result, Series
from headgate_server.text import readable

_HTML = {"<": r"\u003c", ">": r"\u003e", "&": r"\u0026", "\u2028": r"\u2028", "\u2029": r"\u2029"}
_SPECIAL = re.compile("[<>&\u2028\u2029]")
_SHORT_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_LONG_ESCAPES = {"b": r"\u0008", "f": r"\u000c"}


@dataclass(frozen=True, slots=True)
class Answer:
    """One statement's result as it goes to a client: with warnings, and its place in the query."""

    id: int
    result: Result
    warning: str = ""


class Json:
    """`{"results": ...}` and `{"error": ...}`, one line end after each."""

    media_type = "application/json"

    def __init__(self, *, pretty: bool = False) -> None:
        self._pretty = pretty

    def results(self, answers: Sequence[Answer]) -> str:
        return self.document({"results": list(map(_result, answers))} if answers else {})

    def error(self, text: str) -> str:
        return self.document({"error": text})

    def document(self, content: Mapping[str, Any]) -> str:
        if self._pretty:
            text = json.dumps(content, ensure_ascii=False, indent=4)
        else:
            text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        text = _SPECIAL.sub(lambda match: _HTML[match[0]], readable(text))
        if r"\b" in text or r"\f" in text:
            # Taken pair by pair, or an escaped backslash before a letter b would be torn apart.
            text = _SHORT_ESCAPE.sub(lambda m: _LONG_ESCAPES.get(m[1], m[0]), text)
        return text + "\n"


class Csv:
    """A line of `name,tags,<columns>` and one a row; an empty line between statements."""

    media_type = "text/csv"

    def results(self, answers: Sequence[Answer]) -> str:
        return "\n".join(filter(None, map(self._table, answers)))

    def error(self, text: str) -> str:
        return _csv([("error",), (text,)])

    def _table(self, answer: Answer) -> str:
        if answer.result.error:
            return self.error(answer.result.error)
        rows: list[Sequence[object]] = []
        for series in answer.result.series:
            rows.append(("name", "tags", *series.columns))
            for row in series.values:
                rows.append((series.name, "", *map(_cell, row)))
        return _csv(rows)


Format = Json | Csv


def format_for(accept: str, *, pretty: bool) -> Format:
    """The format that the header Accept asks for: CSV by its name, else JSON."""
    if accept in ("application/csv", "text/csv"):
        return Csv()
    return Json(pretty=pretty)


def _result(answer: Answer) -> dict[str, Any]:
    content: dict[str, Any] = {"statement_id": answer.id}
    if answer.result.series:
        content["series"] = list(map(_series, answer.result.series))
    if answer.warning:
        content["messages"] = [{"level": "warning", "text": answer.warning}]
    if answer.result.error:
        content["error"] = answer.result.error
    return content


def _series(series: Series) -> dict[str, Any]:
    content: dict[str, Any] = {"name": series.name} if series.name else {}
    content["columns"] = series.columns
    if series.values:
        content["values"] = series.values
    return content


def _csv(rows: Sequence[Sequence[object]]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    return readable(file.getvalue())


def _cell(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value
