"""Writes on their way to a store: authorized by their database, and passed on as they are.

In front of VictoriaMetrics a client's own label of the name that Headgate needs is renamed.
"""

from collections.abc import AsyncIterable
from dataclasses import dataclass
from urllib.parse import urlencode

from headgate_server.formats import Format
from headgate_server.http.form import body
from headgate_server.http.go_text import readable
from headgate_server.http.gzip import checked, decompressed
from headgate_server.http.request import Call
from headgate_server.http.response import Reply, typed
from headgate_server.upstream.connection_pool import Incoming
from headgate_server.upstream.influxdb import check
from headgate_server.upstream.label_rewriting import Rename, renaming
from headgate_server.upstream.upstream import Upload, Upstream

_LARGEST = 1 << 20
_PROTOBUF = "application/x-protobuf"
_VERSIONS = ("X-Prometheus-Remote-Write-Version", "X-Prometheus-Remote-Read-Version")
Headers = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Line:
    """Where lines go, and what they mean by their times: of the request only this is sent on."""

    database: str
    policy: str = ""
    precision: str = ""
    consistency: str = ""

    def target(self, fixed: tuple[tuple[str, str], ...] = (), path: str = "/write") -> str:
        """The path and query for a store; *fixed* comes behind everything else."""
        fields = {
            "db": readable(self.database),
            "rp": readable(self.policy),
            "precision": readable(self.precision),
            "consistency": readable(self.consistency),
        }
        given = [(name, value) for name, value in fields.items() if value]
        return f"{path}?" + urlencode([*given, *fixed])


async def write(
    upstream: Upstream,
    call: Call,
    target: str,
    limit: int,
    format: Format,
    component: str = "",
    rename: Rename | None = None,
) -> Reply:
    """Sends the lines of *call*, each block through *rename*; 204 when the store has acknowledged
    them.

    Raises TooLarge, BadRequest, Answered, UpstreamError.
    """
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("User-Agent", "headgate")]
    gzip = call.headers.get("content-encoding", "") == "gzip"
    if rename is not None:
        # What is renamed has another length, and is not packed again: the store is near.
        parts: AsyncIterable[bytes] = body(call, limit)
        upload = Upload(renaming(decompressed(parts, limit) if gzip else parts, rename))
    else:
        if gzip:
            headers.append(("Content-Encoding", "gzip"))
        headers += _length(call)
        upload = Upload(checked(body(call, limit), limit) if gzip else body(call, limit))
    headers.append(("X-Request-Id", call.note.id))
    reply = await upstream.send("POST", target, headers, upload, component=component)
    return await _acknowledged(reply, format)


async def remote_write(
    upstream: Upstream, call: Call, target: str, limit: int, format: Format
) -> Reply:
    """Passes the body of Prometheus' remote write on; 204 when the store has acknowledged it.

    Raises TooLarge, Answered, UpstreamError.
    """
    upload = Upload(body(call, limit))
    reply = await upstream.send("POST", target, _remote_headers(call), upload)
    return await _acknowledged(reply, format)


async def remote_read(upstream: Upstream, call: Call, target: str, limit: int) -> Incoming:
    """The store's answer to Prometheus' remote read, as it comes.

    Raises TooLarge, Answered, UpstreamError.
    """
    content = b"".join([part async for part in body(call, limit)])
    headers = [pair for pair in _remote_headers(call) if pair[0] != "Content-Length"]
    with call.watched():
        reply = await upstream.send("POST", target, headers, content, again=True)
        await check(reply)
    return reply


async def _acknowledged(reply: Incoming, format: Format) -> Reply:
    await check(reply)
    await reply.read(_LARGEST)  # what breaks off is no acknowledgement
    return Reply(status_code=204, raw_headers=typed(format.media_type))


def _remote_headers(call: Call) -> Headers:
    """What the store has to know of a body of Prometheus', and nothing else of the client's.

    As a form the body would be read for parameters, which the URL has.
    """
    kind = call.headers.get("content-type", "")
    if not kind.isprintable() or not kind or "form" in kind.lower():
        kind = _PROTOBUF
    headers = [("Content-Type", kind), ("User-Agent", "headgate")]
    for name in ("Content-Encoding", *_VERSIONS):
        value = call.headers.get(name.lower(), "")
        if value and value.isascii() and value.isprintable():
            headers.append((name, value))
    return [*headers, *_length(call), ("X-Request-Id", call.note.id)]


def _length(call: Call) -> Headers:
    length = call.headers.get("content-length", "")
    return [("Content-Length", length)] if length.isascii() and length.isdigit() else []
