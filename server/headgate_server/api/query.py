"""The endpoint /query: authorizes and executes InfluxQL, and returns the results."""

from collections.abc import AsyncGenerator, Iterator
from functools import partial

from headgate_engine import Principal
from headgate_server.app_context import AppContext
from headgate_server.formats import ResultEncoder
from headgate_server.gateway.mount import Mount
from headgate_server.http.form import Form, read_form
from headgate_server.http.go_text import replace_invalid
from headgate_server.http.gzip import Compressor, accepts_gzip
from headgate_server.http.request import Request
from headgate_server.http.response import (
    ASGIResponse,
    Response,
    content_headers,
    streaming_response,
)
from headgate_server.query.executor import QueryExecution
from headgate_server.query.forwarded_response import ForwardedResponse
from headgate_server.query.forwarding import ForwardedQuery
from headgate_server.query.streaming import stream
from headgate_server.upstream.influxdb import NoUpstreamStore, QueryOptions

# Characters. Parsing a longer text takes tens of milliseconds.
_LONG_TEXT_CHARS = 4096


async def query(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> ASGIResponse:
    """Authenticates the request, then parses, authorizes and executes its statements.

    All statements are authorized before the first is executed. An error of a statement is returned
    in its result. With `async=true` the response is sent after authorization. With `chunked=true`
    each result is a document of its own, sent as soon as it is available.
    """
    principal = await context.authenticate(request, mount)
    max_size = context.settings.max_query_size
    form_data = await read_form(request, request.url_params, max_size, context.run_in_thread)
    execution = QueryExecution(
        request,
        context.query_executor,
        principal,
        text=form_data.query_text(max_size),
        params=form_data.fields.get("params", ""),
        database=replace_invalid(form_data.fields.get("db", "")),
    )
    request.log.database = execution.database
    influx_stores = context.gateway.influx_stores
    if (mount is not None and mount.store is not None) or influx_stores:
        return await _run_with_upstream(execution, context, mount, form_data, encoder)
    if form_data.fields.get("async") == "true":
        results = await execution.run_in_thread(execution.run)
        context.submit_background(results, request.log, (principal.name,))
        return _accepted_response(encoder)
    return await (_chunked_response if _is_chunked(request, form_data) else _single_document)(
        execution, encoder
    )


def _accepted_response(encoder: ResultEncoder) -> Response:
    return Response(status_code=204, raw_headers=content_headers(encoder.media_type))


def _is_chunked(request: Request, form_data: Form) -> bool:
    """Returns whether the response is chunked. HTTP/1.0 has no chunked transfer coding."""
    return form_data.fields.get("chunked") == "true" and request.scope["http_version"] != "1.0"


async def _run_with_upstream(
    execution: QueryExecution,
    context: AppContext,
    mount: Mount | None,
    form_data: Form,
    encoder: ResultEncoder,
) -> ASGIResponse:
    """Executes the query *execution* on the upstream store of *mount*.

    Without *mount*, only the statements that Headgate executes itself succeed. DROP DATABASE is
    also sent to the other upstream stores with `drop-data`.
    """
    gateway = context.gateway
    store = mount.store if mount is not None else None
    influx = store.influx if store is not None else NoUpstreamStore()
    pretty = getattr(encoder, "pretty", False)
    forwarded = ForwardedQuery(
        execution,
        influx,
        store.catalog if store is not None else gateway.no_upstream,
        encoder,
        QueryOptions(
            execution.database,
            retention_policy=replace_invalid(form_data.fields.get("rp", "")),
            epoch=replace_invalid(form_data.fields.get("epoch", "")),
            chunk_size=replace_invalid(form_data.fields.get("chunk_size", "")),
            media_type=encoder.media_type,
            pretty=pretty,
            gzip=accepts_gzip(execution.request.headers.get("accept-encoding", "")),
            request_id=execution.request.log.id,
        ),
        reservation=gateway.buffer_budget.reserve(),
        other_stores=[other for other in gateway.influx_stores if other is not influx],
        chunked=_is_chunked(execution.request, form_data),
    )
    release = gateway.limits.acquire(execution.principal)
    try:
        with execution.request.cancel_on_disconnect():
            await forwarded.prepare()
    except BaseException:
        release()
        raise
    if form_data.fields.get("async") == "true":
        on_done = [release, forwarded.reservation.release]
        if mount is not None:
            on_done.append(mount.acquire())
        context.submit_background_async(forwarded.run(), execution.request.log, on_done)
        return _accepted_response(encoder)
    execution.request.on_end(release)
    execution.request.on_end(forwarded.reservation.release)
    with execution.request.cancel_on_disconnect():
        return await ForwardedResponse(forwarded).build()


async def _single_document(execution: QueryExecution, encoder: ResultEncoder) -> Response:
    """Executes the query, and returns all results in one document."""
    gzip = accepts_gzip(execution.request.headers.get("accept-encoding"))

    if (pending_change := execution.authorize_change()) is not None:
        return encode_response(
            encoder.encode_results([await execution.commit(pending_change)]), encoder, gzip=gzip
        )

    def execute(principal: Principal | None = None) -> Response:
        results = execution.execute(principal) if principal is not None else execution.run()
        return encode_response(encoder.encode_results([*results]), encoder, gzip=gzip)

    if execution.is_cheap():
        return execute()
    if len(execution.text) < _LONG_TEXT_CHARS:
        return await execution.run_in_thread(execute)
    # If the client disconnects while it waits, nothing is executed.
    with execution.request.cancel_on_disconnect():
        principal = await execution.run_in_thread(execution.authorize)
    return await execution.run_in_thread(partial(execute, principal))


def encode_response(content: bytes, encoder: ResultEncoder, *, gzip: bool) -> Response:
    """Returns the response with the body *content*, compressed if *gzip* is true."""
    body = Compressor().finish(content) if gzip else content
    return Response(body, raw_headers=content_headers(encoder.media_type, gzip=gzip))


async def _chunked_response(execution: QueryExecution, encoder: ResultEncoder) -> ASGIResponse:
    """Executes the query, and streams each result as a document of its own."""
    gzip = accepts_gzip(execution.request.headers.get("accept-encoding", ""))

    def documents() -> Iterator[bytes]:
        compressor = Compressor() if gzip else None
        for answer in execution.run():
            document = encoder.encode_results([answer])
            yield compressor.compress(document) if compressor is not None else document
        if compressor is not None:
            yield compressor.finish()

    pieces = stream(execution.run_in_thread, documents)
    # The first document proves that the query was not rejected; an error would change the status.
    first = await anext(pieces, b"")
    return streaming_response(
        _prepend(first, pieces), content_headers(encoder.media_type, gzip=gzip)
    )


async def _prepend(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    yield first
    async for chunk in rest:
        yield chunk
