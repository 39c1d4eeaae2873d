"""MessagePack, with the keys that InfluxDB's has. Knows msgpack."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgpack

from headgate_engine import Series, Value
from headgate_server.formats.answer import Answer
from headgate_server.text import readable


class MessagePack:
    """Unlike in JSON, `results`, `series` and `values` are there also where they are empty."""

    media_type = "application/x-msgpack"

    def results(self, answers: Sequence[Answer]) -> bytes:
        return _packed({"results": list(map(_result, answers))})

    def error(self, text: str) -> bytes:
        return _packed({"error": readable(text)})


def _result(answer: Answer) -> dict[str, Any]:
    content: dict[str, Any] = {"statement_id": answer.id}
    if answer.result.error:
        return content | {"error": readable(answer.result.error)}
    if answer.warning:
        content["messages"] = [{"level": "warning", "text": readable(answer.warning)}]
    content["series"] = list(map(_series, answer.result.series))
    return content


def _series(series: Series) -> dict[str, Any]:
    content: dict[str, Any] = {"name": readable(series.name)} if series.name else {}
    content["columns"] = series.columns
    content["values"] = [list(map(_cell, row)) for row in series.values]
    return content


def _cell(value: Value) -> Value:
    return readable(value) if isinstance(value, str) else value


def _packed(content: Mapping[str, Any]) -> bytes:
    packed: bytes | None = msgpack.packb(content)
    assert packed is not None  # as it is only for a stream of its own
    return packed
