"""The endpoint /query: authorizes and executes InfluxQL, and returns the results."""

from collections.abc import AsyncGenerator, Iterator
from functools import partial

from headgate_engine import NotAuthorized, Principal
from headgate_grammar import Statement
from headgate_server.api.response_cache import ResponseCache
from headgate_server.app_context import AppContext
from headgate_server.formats import JsonEncoder, ResultEncoder
from headgate_server.gateway.mount import Mount
from headgate_server.http.eager_batch import in_batch
from headgate_server.http.form import read_form
from headgate_server.http.go_text import replace_invalid
from headgate_server.http.gzip import Compressor, accepts_gzip, encode_body
from headgate_server.http.request import Request
from headgate_server.http.response import (
    ASGIResponse,
    Response,
    content_headers,
    streaming_response,
)
from headgate_server.http.urlencoded import Pairs
from headgate_server.query.executor import QueryExecution, record_denial
from headgate_server.query.forwarded_response import ForwardedResponse
from headgate_server.query.forwarding import ForwardedQuery
from headgate_server.query.prepared import PreparedQuery
from headgate_server.query.thread_stream import stream
from headgate_server.upstream.influxql import QueryOptions
from headgate_server.upstream.no_upstream import NoUpstreamStore

# Characters. Parsing a longer text takes tens of milliseconds.
_LONG_TEXT_CHARS = 4096


async def query(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> ASGIResponse:
    """Authenticates the request, then parses, authorizes and executes its statements.

    All statements are authorized before the first is executed. An error of a statement is returned
    in its result. With `async=true` the response is sent after authorization, before execution.
    With `chunked=true` each result is a separate JSON or CSV document, sent when it is available.
    """
    prepared = context.prepared_queries.get(request)
    principal = await context.authenticate(request, mount)
    if prepared is not None:
        fields, text = prepared.fields, ""
    else:
        max_size = context.settings.max_query_size
        form = await read_form(request, request.url_params, max_size, context.run_in_thread)
        fields, text = form.fields, form.query_text(max_size)
        prepared = context.prepared_queries.prepare(request, fields, text)
    execution = QueryExecution(
        request,
        context.query_executor,
        principal,
        text=text,
        params=fields.get("params", ""),
        database=replace_invalid(fields.get("db", "")),
    )
    if prepared is not None:
        execution.use_statements(prepared.statements, from_cache=True)
    request.log.database = execution.database
    if (mount is not None and mount.store is not None) or context.gateway.drops_data:
        return await _run_with_upstream(execution, context, mount, fields, encoder)
    if fields.get("async") == "true":
        results = await execution.run_in_thread(execution.run)
        context.background_queries.submit(results, request.log, (principal.name,))
        return _accepted_response(encoder)
    if _is_chunked(request, fields):
        return await _chunked_response(execution, encoder)
    authorized: Principal | None = None
    if prepared is not None and prepared.cached and _is_in_batch(principal):
        found = _cached_response(execution, prepared, encoder)
        if isinstance(found, Response):
            return found
        authorized = found
    elif prepared is not None:
        await context.user_loader.prefetch(principal, prepared.statements)
    return await _single_document(execution, encoder, authorized)


async def run_statement(
    request: Request, context: AppContext, principal: Principal, statement: Statement
) -> ASGIResponse:
    """Authorizes and executes *statement* as /query does, and returns the response in JSON.

    The statement is also sent to the store of `statement_store`. Read the whole body of *request*
    before. Raises what `query` raises.
    """
    mount = statement_store(request, context)
    if mount is not None:
        request.on_end(mount.acquire())
    execution = QueryExecution(
        request, context.query_executor, principal, text="", params="", database=""
    )
    execution.use_statements([statement], from_cache=False)
    encoder = JsonEncoder()
    if (mount is not None and mount.store is not None) or context.gateway.drops_data:
        return await _run_with_upstream(execution, context, mount, {}, encoder)
    return await _single_document(execution, encoder)


def statement_store(request: Request, context: AppContext) -> Mount | None:
    """Returns the upstream store for statements that name none, or None.

    It is the store that /query on the host of *request* uses, or else the only one.
    """
    mount, _ = context.gateway.find(request, b"/query")
    return mount or context.gateway.find_by_name("")


def _is_in_batch(principal: Principal) -> bool:
    """Returns whether *principal* was read from the snapshot of the batch that is running.

    Returns False if the principal has rights from a token, which the user store does not have.
    """
    stored = not principal.transient and principal.transient_rights is None
    return stored and in_batch()


def _cached_response(
    execution: QueryExecution, prepared: PreparedQuery, encoder: ResultEncoder
) -> Response | Principal:
    """Returns the response to *prepared*, from the cache or by execution. Call it in a batch.

    Executes the statements only if all of them are cheap and only read. If they succeed, caches the
    response until the user store changes. Otherwise returns the principal that was authorized for
    the statements: the caller executes them.
    """
    executor, request, principal = execution.executor, execution.request, execution.principal
    with executor.store.snapshot() as snapshot:
        responses = ResponseCache(snapshot, prepared, principal)
        try:
            cached = responses.get(executor.metrics)
        except NotAuthorized as error:
            record_denial(executor.audit_writer, request, principal, error)
            raise
        if cached is not None:
            return cached
        try:
            current = execution.authorize()
        except NotAuthorized as error:
            responses.put_denial(error)
            raise
        if not execution.runs_inline():
            return current
        response = _execute(execution, encoder, current)
        if not request.log.error:
            responses.put(response)
        return response


def _accepted_response(encoder: ResultEncoder) -> Response:
    return Response(status_code=204, raw_headers=content_headers(encoder.media_type))


def _is_chunked(request: Request, fields: Pairs) -> bool:
    """Returns whether the client asks for one document for each result, with HTTP/1.1 or later."""
    return fields.get("chunked") == "true" and request.scope["http_version"] != "1.0"


async def _run_with_upstream(
    execution: QueryExecution,
    context: AppContext,
    mount: Mount | None,
    fields: Pairs,
    encoder: ResultEncoder,
) -> ASGIResponse:
    """Executes the query *execution* on *mount*, an upstream store with its settings.

    If *mount* is None, only the statements that Headgate executes itself succeed. DROP DATABASE is
    also sent to the other upstream stores that have the option `drop-data`.
    """
    gateway = context.gateway
    store = mount.store if mount is not None else None
    influxql = store.influxql if store is not None else NoUpstreamStore()
    pretty = getattr(encoder, "pretty", False)
    forwarded = ForwardedQuery(
        execution,
        influxql,
        store.catalog if store is not None else gateway.no_upstream,
        encoder,
        QueryOptions(
            execution.database,
            retention_policy=replace_invalid(fields.get("rp", "")),
            epoch=replace_invalid(fields.get("epoch", "")),
            chunk_size=replace_invalid(fields.get("chunk_size", "")),
            media_type=encoder.media_type,
            pretty=pretty,
            gzip=accepts_gzip(execution.request.headers.get("accept-encoding", "")),
            request_id=execution.request.log.id,
        ),
        reservation=gateway.buffer_budget.reserve(),
        other_stores=[other for other in gateway.dropping_stores if other is not influxql],
        all_stores=gateway.influxql_stores,
        chunked=_is_chunked(execution.request, fields),
    )
    release = gateway.limits.acquire(execution.principal)
    try:
        async with execution.request.cancel_on_disconnect():
            await forwarded.prepare()
    except BaseException:
        release()
        raise
    if fields.get("async") == "true":
        on_done = [release, forwarded.reservation.release]
        if mount is not None:
            on_done.append(mount.acquire())
        context.background_queries.submit_async(forwarded.run(), execution.request.log, on_done)
        return _accepted_response(encoder)
    execution.request.on_end(release)
    execution.request.on_end(forwarded.reservation.release)
    async with execution.request.cancel_on_disconnect():
        return await ForwardedResponse(forwarded).build()


async def _single_document(
    execution: QueryExecution, encoder: ResultEncoder, authorized: Principal | None = None
) -> Response:
    """Executes the query, and returns all results in one document.

    *authorized* is the principal that was authorized for the query in this iteration of the event
    loop, or None.
    """
    if authorized is not None or execution.parses_inline():
        principal = authorized or execution.authorize()
        if (pending_change := execution.pending_change(principal)) is not None:
            content = encoder.encode_results([await execution.commit(pending_change)])
            return _encode_response(content, encoder, gzip=_gzip(execution))
        if execution.runs_inline():
            return _execute(execution, encoder, principal)
    elif len(execution.text) < _LONG_TEXT_CHARS:
        return await execution.run_in_thread(partial(_execute, execution, encoder))
    else:
        # If the client disconnects while it waits, nothing is executed.
        async with execution.request.cancel_on_disconnect():
            principal = await execution.run_in_thread(execution.authorize)
    return await execution.run_in_thread(partial(_execute, execution, encoder, principal))


def _execute(
    execution: QueryExecution, encoder: ResultEncoder, principal: Principal | None = None
) -> Response:
    """Executes the query, and returns the response with all results.

    *principal* was authorized for the query. If it is None, authorizes the query first.
    """
    results = execution.execute(principal) if principal is not None else execution.run()
    return _encode_response(encoder.encode_results([*results]), encoder, gzip=_gzip(execution))


def _gzip(execution: QueryExecution) -> bool:
    return accepts_gzip(execution.request.headers.get("accept-encoding"))


def _encode_response(content: bytes, encoder: ResultEncoder, *, gzip: bool) -> Response:
    """Returns the response with the body *content*, compressed if *gzip* is true."""
    return Response(
        encode_body(content, gzip=gzip), raw_headers=content_headers(encoder.media_type, gzip=gzip)
    )


async def _chunked_response(execution: QueryExecution, encoder: ResultEncoder) -> ASGIResponse:
    """Executes the query *execution*, and streams each result as a separate document."""
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
