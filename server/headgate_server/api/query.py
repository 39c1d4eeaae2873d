"""/query: parses, authorizes and executes InfluxQL, and returns the results."""

from collections.abc import AsyncGenerator, Iterator
from functools import partial

from headgate_engine import Principal
from headgate_server.app_context import Service
from headgate_server.formats import Format
from headgate_server.gateway.mount import Mounted
from headgate_server.http.form import Form, form
from headgate_server.http.go_text import readable
from headgate_server.http.gzip import Compressor, takes_gzip
from headgate_server.http.request import Call
from headgate_server.http.response import Reply, Response, streamed, typed
from headgate_server.query.executor import Work
from headgate_server.query.forwarding import Forwarding
from headgate_server.query.streaming import stream
from headgate_server.upstream.influxdb import Asked, Nowhere

# Characters. Parsing a longer text takes tens of milliseconds.
_LONG_TEXT = 4096


async def query(call: Call, service: Service, format: Format, mounted: Mounted | None) -> Response:
    """Authenticates the request, then parses, authorizes and executes its statements.

    All statements are authorized before the first is executed. An error of a statement is returned
    in its result. With `async=true` the response is sent after authorization. With `chunked=true`
    each result is a document of its own, sent as soon as it is available.
    """
    principal = await service.login(call, mounted)
    longest = service.settings.max_query_size
    sent = await form(call, call.url_pairs, longest, service.run)
    work = Work(
        call,
        service.queries,
        principal,
        text=sent.text(longest),
        params=sent.fields.get("params", ""),
        database=readable(sent.fields.get("db", "")),
    )
    call.note.database = work.database
    keeping = service.gateway.keeping
    if (mounted is not None and mounted.store is not None) or keeping:
        return await _through(work, service, mounted, sent, format)
    if sent.fields.get("async") == "true":
        results = await work.run(work.answers)
        service.detach(results, call.note, (principal.name,))
        return _accepted(format)
    return await (_chunked if _chunks(call, sent) else _whole)(work, format)


def _accepted(format: Format) -> Reply:
    return Reply(status_code=204, raw_headers=typed(format.media_type))


def _chunks(call: Call, sent: Form) -> bool:
    """Returns whether the response is chunked. HTTP/1.0 has no chunked transfer coding."""
    return sent.fields.get("chunked") == "true" and call.scope["http_version"] != "1.0"


async def _through(
    work: Work, service: Service, mounted: Mounted | None, sent: Form, format: Format
) -> Response:
    """Executes *work* on the upstream store of *mounted*, or without one.

    DROP DATABASE is also sent to the other stores that delete data with a database.
    """
    gateway = service.gateway
    store = mounted.store if mounted is not None else None
    influx = store.influx if store is not None else Nowhere()
    pretty = getattr(format, "pretty", False)
    forwarding = Forwarding(
        work,
        influx,
        store.catalogue if store is not None else gateway.nowhere,
        format,
        Asked(
            work.database,
            policy=readable(sent.fields.get("rp", "")),
            epoch=readable(sent.fields.get("epoch", "")),
            chunk_size=readable(sent.fields.get("chunk_size", "")),
            media_type=format.media_type,
            pretty=pretty,
            gzip=takes_gzip(work.call.headers.get("accept-encoding", "")),
            id=work.call.note.id,
        ),
        hold=gateway.buffers.hold(),
        others=[other for other in gateway.keeping if other is not influx],
        chunked=_chunks(work.call, sent),
    )
    leave = gateway.limits.enter(work.principal)
    try:
        with work.call.watched():
            await forwarding.begin()
    except BaseException:
        leave()
        raise
    if sent.fields.get("async") == "true":
        holds = [leave, forwarding.hold.release]
        if mounted is not None:
            holds.append(mounted.hold())
        service.attend(forwarding.run(), work.call.note, holds)
        return _accepted(format)
    work.call.at_end(leave)
    work.call.at_end(forwarding.hold.release)
    with work.call.watched():
        return await forwarding.response()


async def _whole(work: Work, format: Format) -> Reply:
    gzip = takes_gzip(work.call.headers.get("accept-encoding"))

    if (job := work.change()) is not None:
        return reply_with(format.results([await work.made(job)]), format, gzip=gzip)

    def made(principal: Principal | None = None) -> Reply:
        answers = work.executed(principal) if principal is not None else work.answers()
        return reply_with(format.results([*answers]), format, gzip=gzip)

    if work.quick():
        return made()
    if len(work.text) < _LONG_TEXT:
        return await work.run(made)
    with work.call.watched():  # if the client disconnects while it waits, nothing is executed
        principal = await work.run(work.authorized)
    return await work.run(partial(made, principal))


def reply_with(plain: bytes, format: Format, *, gzip: bool) -> Reply:
    """Returns the response with the body *plain*, compressed if *gzip* is true."""
    body = Compressor().end(plain) if gzip else plain
    return Reply(body, raw_headers=typed(format.media_type, gzip=gzip))


async def _chunked(work: Work, format: Format) -> Response:
    gzip = takes_gzip(work.call.headers.get("accept-encoding", ""))

    def documents() -> Iterator[bytes]:
        compressor = Compressor() if gzip else None
        for answer in work.answers():
            document = format.results([answer])
            yield compressor.piece(document) if compressor is not None else document
        if compressor is not None:
            yield compressor.end()

    pieces = stream(work.run, documents)
    # The first document proves that the query was not rejected; an error would change the status.
    first = await anext(pieces, b"")
    return streamed(_after(first, pieces), typed(format.media_type, gzip=gzip))


async def _after(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    yield first
    async for piece in rest:
        yield piece
