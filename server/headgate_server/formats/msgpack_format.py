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
        if all(answer.encoded is None for answer in answers):
            return _packed({"results": list(map(_result, answers))})
        packer = msgpack.Packer()
        head = packer.pack_map_header(1) + packer.pack("results")
        head += packer.pack_array_header(len(answers))
        return bytes(head) + b"".join(map(_encoded, answers))

    def fragment(self, document: bytes, id: int) -> tuple[bytes, str]:
        try:
            # The times of InfluxDB are a type of their own, and stay what they are.
            content = msgpack.unpackb(document, timestamp=0, strict_map_key=False)
            result = dict(content["results"][0])
        except (ValueError, LookupError, TypeError, msgpack.UnpackException):
            raise ValueError("no answer to one statement") from None
        error = str(result.get("error", ""))
        return _packed({"statement_id": id} | result | {"statement_id": id}), error

    def error(self, text: str) -> bytes:
        return _packed({"error": readable(text)})


def _encoded(answer: Answer) -> bytes:
    return answer.encoded if answer.encoded is not None else _packed(_result(answer))


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
    if series.tags:
        content["tags"] = {name: readable(value) for name, value in series.tags.items()}
    content["columns"] = series.columns
    content["values"] = [list(map(_cell, row)) for row in series.values]
    return content


def _cell(value: Value) -> Value:
    return readable(value) if isinstance(value, str) else value


def _packed(content: Mapping[str, Any]) -> bytes:
    packed: bytes | None = msgpack.packb(content)
    assert packed is not None  # as it is only for a stream of its own
    return packed
