"""Renames a client's own labels in the body of a write to VictoriaMetrics' own API.

Headgate sets these labels itself: they name the database that the client may write to.
"""

from collections.abc import AsyncIterable, Awaitable, Callable
from functools import partial

from headgate_server.http.errors import BadRequest, TooLarge, UnsupportedMedia
from headgate_server.http.form import read_body
from headgate_server.http.gzip import decompress
from headgate_server.http.request import Request
from headgate_server.upstream.errors import UnsupportedWriteFormat
from headgate_server.upstream.label_rewriting import LabelRenamer, rename_stream
from headgate_server.upstream.remote_write import MalformedBody
from headgate_server.upstream.snappy import BlockTooLarge, InvalidBlock
from headgate_server.upstream.upstream import Upload

RunInThread = Callable[[Callable[[], bytes]], Awaitable[bytes]]
_REMOTE_WRITE_2_TYPE = "io.prometheus.write.v2"
_MAX_INLINE_BYTES = 1 << 12


async def rename_own_label(
    request: Request, format: str, renamer: LabelRenamer, limit: int, run: RunInThread
) -> Upload | bytes:
    """Returns the body of *request* with the client's own labels renamed by *renamer*.

    *format* is the body's format, such as `line` or `remote-write`. *limit* is its maximum size in
    bytes (0: no limit). *run* runs long conversions in a thread. A CSV body is only decompressed,
    because the query parameter `format` names its labels.

    Raises UnsupportedWriteFormat if Headgate cannot read labels in *format*, and UnsupportedMedia
    for an unsupported encoding. Reading the body raises BadRequest if it is invalid, and TooLarge
    for more than *limit* bytes. Raises also what *run* raises.
    """
    if format == "remote-write":
        return await _remote_write(request, renamer, limit, run)
    if format == "csv":  # the query parameter `format` names the labels
        return Upload(_decompressed_body(request, limit))
    renames = {"line": renamer.in_lines, "json": renamer.in_json, "text": renamer.in_text}
    if format not in renames:
        raise UnsupportedWriteFormat
    return Upload(rename_stream(_decompressed_body(request, limit), renames[format]))


def _decompressed_body(request: Request, limit: int) -> AsyncIterable[bytes]:
    """Returns the decompressed body of *request* in chunks.

    The whole body may have at most *limit* bytes (0: no limit). Raises UnsupportedMedia
    for an encoding other than gzip, before the body is read.
    """
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip"):
        raise UnsupportedMedia("unsupported Content-Encoding: expected gzip")
    sent = read_body(request, limit)
    return decompress(sent, limit) if encoding == "gzip" else sent


async def _remote_write(
    request: Request, renamer: LabelRenamer, limit: int, run: RunInThread
) -> bytes:
    if request.headers.get("content-encoding", "").strip().lower() not in ("", "snappy"):
        raise UnsupportedMedia("unsupported Content-Encoding: expected snappy")
    if _REMOTE_WRITE_2_TYPE in request.headers.get("content-type", ""):
        raise UnsupportedMedia("unsupported remote write 2.0: expected prometheus.WriteRequest")
    block = b"".join([part async for part in read_body(request, limit)])
    rename = partial(_rename_block, renamer, block, limit)
    return rename() if len(block) <= _MAX_INLINE_BYTES else await run(rename)


def _rename_block(renamer: LabelRenamer, block: bytes, limit: int) -> bytes:
    try:
        return renamer.in_remote_write(block, limit)
    except BlockTooLarge:
        raise TooLarge from None
    except InvalidBlock:
        raise BadRequest("remote write: invalid snappy block") from None
    except MalformedBody:
        raise BadRequest("remote write: invalid protobuf") from None
