"""JSON, to the letter as Go writes it."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from headgate_engine import Series
from headgate_server.formats.answer import Answer
from headgate_server.text import readable

_HTML = {"<": r"\u003c", ">": r"\u003e", "&": r"\u0026", "\u2028": r"\u2028", "\u2029": r"\u2029"}
_SPECIAL = re.compile("[<>&\u2028\u2029]")
_SHORT_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_LONG_ESCAPES = {"b": r"\u0008", "f": r"\u000c"}


class Json:
    """`{"results": ...}` and `{"error": ...}`, one line end after each."""

    media_type = "application/json"

    def __init__(self, *, pretty: bool = False) -> None:
        self._pretty = pretty

    def results(self, answers: Sequence[Answer]) -> bytes:
        return self.document({"results": list(map(_result, answers))} if answers else {})

    def error(self, text: str) -> bytes:
        return self.document({"error": text})

    def document(self, content: Mapping[str, Any]) -> bytes:
        if self._pretty:
            text = json.dumps(content, ensure_ascii=False, indent=4)
        else:
            text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        text = _SPECIAL.sub(lambda match: _HTML[match[0]], readable(text))
        if r"\b" in text or r"\f" in text:
            # Taken pair by pair, or an escaped backslash before a letter b would be torn apart.
            text = _SHORT_ESCAPE.sub(lambda m: _LONG_ESCAPES.get(m[1], m[0]), text)
        return text.encode() + b"\n"


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
