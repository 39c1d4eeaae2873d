"""Forwards authorized writes, in line protocol or Prometheus' remote write, to a store unchanged.

Before VictoriaMetrics, a client's own label `db`, which Headgate needs, is renamed.
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
    """The target of a write and the precision of its times: only these parameters are forwarded."""

    database: str
    policy: str = ""
    precision: str = ""
    consistency: str = ""

    def target(self, fixed: tuple[tuple[str, str], ...] = (), path: str = "/write") -> str:
        """Returns *path* with the query for a store; *fixed* is appended last."""
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
    """Sends the lines of *call*, through *rename* if given. Returns 204 once they are acknowledged.

    Raises TooLarge, BadRequest, Answered, UpstreamError, NoComponent.
    """
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("User-Agent", "headgate")]
    gzip = call.headers.get("content-encoding", "") == "gzip"
    if rename is not None:
        # Renamed lines have another length. They are not compressed again: the store is near.
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
    """Forwards the body of a Prometheus remote write. Returns 204 once it is acknowledged.

    Raises TooLarge, Answered, UpstreamError.
    """
    upload = Upload(body(call, limit))
    reply = await upstream.send("POST", target, _remote_headers(call), upload)
    return await _acknowledged(reply, format)


async def remote_read(upstream: Upstream, call: Call, target: str, limit: int) -> Incoming:
    """Forwards a Prometheus remote read. Returns the response as soon as its head has arrived.

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
    await reply.read(_LARGEST)  # an incomplete answer is not an acknowledgement
    return Reply(status_code=204, raw_headers=typed(format.media_type))


def _remote_headers(call: Call) -> Headers:
    """Returns the headers that describe a Prometheus body; no other client header is forwarded.

    A form type is replaced, because the store would parse the body for parameters.
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
