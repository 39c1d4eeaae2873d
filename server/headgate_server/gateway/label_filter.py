"""Renames a client's own label `db` in the body of a write to VictoriaMetrics' own API."""

from collections.abc import AsyncIterable, Awaitable, Callable
from functools import partial

from headgate_server.http.errors import BadRequest, TooLarge, UnsupportedMedia
from headgate_server.http.form import body
from headgate_server.http.gzip import decompressed
from headgate_server.http.request import Call
from headgate_server.upstream.errors import FormatUnknown
from headgate_server.upstream.label_rewriting import (
    LABEL,
    Malformed,
    Rename,
    in_json,
    in_lines,
    in_remote_write,
    in_text,
    renaming,
)
from headgate_server.upstream.snappy import Invalid, TooLong
from headgate_server.upstream.upstream import Upload

Run = Callable[[Callable[[], bytes]], Awaitable[bytes]]
_IN_LINES: dict[str, Rename] = {"line": in_lines, "json": in_json, "text": in_text}
_VERSION_2 = "io.prometheus.write.v2"
_SHORT = 1 << 12


async def kept(call: Call, format: str, limit: int, run: Run) -> Upload | bytes:
    """Returns the body of *call*, which is in *format*, with the label `db` renamed.

    *run* runs long conversions in a thread. Raises FormatUnknown if a label could be lost;
    UnsupportedMedia, BadRequest, TooLarge, and what *run* raises.
    """
    if format == "remote-write":
        return await _remote_write(call, limit, run)
    if format == "csv":  # its labels are named in the parameters
        return Upload(_plain(call, limit))
    if format not in _IN_LINES:
        raise FormatUnknown(LABEL)
    return Upload(renaming(_plain(call, limit), _IN_LINES[format]))


def _plain(call: Call, limit: int) -> AsyncIterable[bytes]:
    """Returns the decompressed body. Raises UnsupportedMedia before the body is read."""
    encoding = call.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip"):
        raise UnsupportedMedia("unsupported Content-Encoding: expected gzip")
    sent = body(call, limit)
    return decompressed(sent, limit) if encoding == "gzip" else sent


async def _remote_write(call: Call, limit: int, run: Run) -> bytes:
    if call.headers.get("content-encoding", "").strip().lower() not in ("", "snappy"):
        raise UnsupportedMedia("unsupported Content-Encoding: expected snappy")
    if _VERSION_2 in call.headers.get("content-type", ""):
        raise UnsupportedMedia("unsupported remote write 2.0: expected prometheus.WriteRequest")
    block = b"".join([part async for part in body(call, limit)])
    rename = partial(_renamed, block, limit)
    return rename() if len(block) <= _SHORT else await run(rename)


def _renamed(block: bytes, limit: int) -> bytes:
    try:
        return in_remote_write(block, limit)
    except TooLong:
        raise TooLarge from None
    except Invalid:
        raise BadRequest("remote write: invalid snappy block") from None
    except Malformed:
        raise BadRequest("remote write: invalid protobuf") from None
