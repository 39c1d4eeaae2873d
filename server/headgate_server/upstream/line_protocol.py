"""Forwards authorized writes in line protocol, and Prometheus' remote write and read, to a store.

The body is forwarded unchanged, except that a client's own label `db` is renamed for
VictoriaMetrics: Headgate sets that label itself.
"""

from collections.abc import AsyncIterable, Iterable
from dataclasses import dataclass
from urllib.parse import urlencode

from headgate_server.formats import ResultEncoder
from headgate_server.http.form import read_body
from headgate_server.http.go_text import replace_invalid
from headgate_server.http.gzip import decompress, validate
from headgate_server.http.request import Request
from headgate_server.http.response import Response, content_headers
from headgate_server.upstream.connection_pool import UpstreamResponse
from headgate_server.upstream.label_rewriting import Rename, rename_stream
from headgate_server.upstream.response_checks import check_status
from headgate_server.upstream.upstream import Upload, Upstream

_MAX_ANSWER_BYTES = 1 << 20
_PROTOBUF_MEDIA_TYPE = "application/x-protobuf"
_VERSION_HEADERS = ("X-Prometheus-Remote-Write-Version", "X-Prometheus-Remote-Read-Version")
Headers = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class WriteTarget:
    """The parameters of a write: database, retention policy, time precision and consistency."""

    database: str
    retention_policy: str = ""
    precision: str = ""
    consistency: str = ""

    def path_and_query(
        self,
        extra: Iterable[tuple[str, str]] = (),
        path: str = "/write",
        *,
        names_database: bool = True,
    ) -> str:
        """Returns *path* followed by `?` and the parameters; *extra* parameters come last.

        Without *names_database*, the parameter `db` is left out.
        """
        fields = {
            "db": replace_invalid(self.database) if names_database else "",
            "rp": replace_invalid(self.retention_policy),
            "precision": replace_invalid(self.precision),
            "consistency": replace_invalid(self.consistency),
        }
        given = [(name, value) for name, value in fields.items() if value]
        return f"{path}?" + urlencode([*given, *extra])


async def write_lines(
    upstream: Upstream,
    request: Request,
    target: str,
    limit: int,
    format: ResultEncoder,
    component: str = "",
    rename: Rename | None = None,
) -> Response:
    """Sends the lines of *request* upstream. Returns 204 once the store has acknowledged them.

    *target* is the path and query at the store, and *component* the part of the store that receives
    them. *format* sets the Content-Type of the response. If *rename* is given, it renames labels
    in the lines. Raises TooLarge for more than *limit* bytes.
    Raises also BadRequest, UpstreamRejected, UpstreamError, ComponentNotConfigured.
    """
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("User-Agent", "headgate")]
    gzip = request.headers.get("content-encoding", "") == "gzip"
    if rename is not None:
        # Renamed lines have another length, so Content-Length is omitted. The lines are sent
        # uncompressed: the network to the store is fast.
        parts: AsyncIterable[bytes] = read_body(request, limit)
        upload = Upload(rename_stream(decompress(parts, limit) if gzip else parts, rename))
    else:
        if gzip:
            headers.append(("Content-Encoding", "gzip"))
        headers += _length_headers(request)
        upload = Upload(
            validate(read_body(request, limit), limit) if gzip else read_body(request, limit)
        )
    headers.append(("X-Request-Id", request.log.id))
    reply = await upstream.send("POST", target, headers, upload, component=component)
    return await _acknowledgement(reply, format)


async def remote_write(
    upstream: Upstream, request: Request, target: str, limit: int, format: ResultEncoder
) -> Response:
    """Forwards the body of a Prometheus remote write. Returns 204 once the store acknowledged it.

    *target* is the path and query at the store. Raises TooLarge if the body has more than *limit*
    bytes. Raises UpstreamRejected if the store answers with status 400 or higher. Raises
    UpstreamError if no complete answer arrives.
    """
    upload = Upload(read_body(request, limit))
    reply = await upstream.send("POST", target, _remote_headers(request), upload)
    return await _acknowledgement(reply, format)


async def remote_read(
    upstream: Upstream, request: Request, target: str, limit: int
) -> UpstreamResponse:
    """Forwards a Prometheus remote read. Returns the response as soon as its head has arrived.

    The body may have at most *limit* bytes. Raises TooLarge, UpstreamRejected, UpstreamError.
    """
    content = b"".join([part async for part in read_body(request, limit)])
    headers = [pair for pair in _remote_headers(request) if pair[0] != "Content-Length"]
    async with request.cancel_on_disconnect():
        reply = await upstream.send("POST", target, headers, content, idempotent=True)
        await check_status(reply)
    return reply


async def _acknowledgement(reply: UpstreamResponse, format: ResultEncoder) -> Response:
    """Returns 204 if *reply* is complete and successful. Raises UpstreamRejected, UpstreamError."""
    await check_status(reply)
    await reply.read(_MAX_ANSWER_BYTES)  # an incomplete answer is not an acknowledgement
    return Response(status_code=204, raw_headers=content_headers(format.media_type))


def _remote_headers(request: Request) -> Headers:
    """Returns the headers to send with a Prometheus body. Other client headers are left out.

    The Content-Type of a form is replaced: the store would search such a body for parameters.
    """
    content_type = request.headers.get("content-type", "")
    if not content_type.isprintable() or not content_type or "form" in content_type.lower():
        content_type = _PROTOBUF_MEDIA_TYPE
    headers = [("Content-Type", content_type), ("User-Agent", "headgate")]
    for name in ("Content-Encoding", *_VERSION_HEADERS):
        value = request.headers.get(name.lower(), "")
        if value and value.isascii() and value.isprintable():
            headers.append((name, value))
    return [*headers, *_length_headers(request), ("X-Request-Id", request.log.id)]


def _length_headers(request: Request) -> Headers:
    length = request.headers.get("content-length", "")
    return [("Content-Length", length)] if length.isascii() and length.isdigit() else []
