"""Answers the requests to /query of one event loop iteration together, stage by stage.

A query with a body is left to the endpoint in `api/query.py`, as is a query that needs a thread.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from headgate_engine import PendingTransaction, Principal, Snapshot, StoreUnavailable
from headgate_grammar import ShowGrants
from headgate_server.api.denied_queries import DeniedQuery, find_denial
from headgate_server.api.query import encode_response
from headgate_server.api.response_builder import ResponseBuilder
from headgate_server.app_context import AppContext
from headgate_server.formats import StatementResult
from headgate_server.http.request import Request
from headgate_server.http.response import Response
from headgate_server.query.executor import QueryExecution, is_single_rights_change
from headgate_server.query.prepared import PreparedQuery
from headgate_server.telemetry.access_log import format_statements

# Bytes of the largest response body that is cached.
_MAX_CACHED_BYTES = 4096
# Parameters that may need waiting, however cheap the statements are.
_SLOW_PARAMETERS = frozenset({"async", "chunked", "params"})


@dataclass(slots=True)
class _Query:
    """A prepared query of an authenticated principal."""

    request: Request
    prepared: PreparedQuery
    principal: Principal


@dataclass(slots=True)
class PendingResponse:
    """The response to a GRANT or REVOKE: it waits until the change is durable in the user store."""

    execution: QueryExecution
    pending_change: PendingTransaction
    prepared: PreparedQuery

    async def response(self) -> Response:
        """Commits the change, and returns the response. Raises Overloaded."""
        answer, encoder = await self.execution.commit(self.pending_change), self.prepared.format()
        return encode_response(encoder.encode_results([answer]), encoder, gzip=self.prepared.gzip)


# A response, a response that waits for a change, or the exception in place of a response. None:
# the endpoint in `api/query.py` must answer the request.
BatchResponse = Response | PendingResponse | Exception | None


def run_query_batch(
    requests: Sequence[Request], context: AppContext, responses: ResponseBuilder
) -> list[BatchResponse]:
    """Returns for each of *requests* the answer of the endpoint `query`, or None if it must wait.

    One snapshot of the user store answers all requests. If the snapshot cannot be read, returns the
    error for each request.
    """
    try:
        with context.store.snapshot() as snapshot:
            cached = [context.prepared_queries.get(request) for request in requests]
            queries = [_prepare(*each, context) for each in zip(requests, cached, strict=True)]
            _prefetch_users(queries, context)
            return [_respond_or_error(query, snapshot, context, responses) for query in queries]
    except Exception as error:
        return [error] * len(requests)


def _prepare(
    request: Request, prepared: PreparedQuery | None, context: AppContext
) -> _Query | Exception | None:
    """Authenticates *request*, and prepares its query unless *prepared*, from the cache, is given.

    Returns None if the endpoint `query` must answer the request. Returns an error instead of
    raising it, so that the other requests are answered.
    """
    try:
        if prepared is not None:
            request.url_params = prepared.params
        elif not _SLOW_PARAMETERS.isdisjoint(request.url_params):
            return None
        principal = context.authenticate_cached(request)
        if principal is None:
            return None
        if prepared is None and (prepared := context.prepared_queries.prepare(request)) is None:
            return None
    except Exception as error:  # the error of one request must not fail the batch
        return error
    request.log.database, request.log.statements = (
        prepared.database,
        format_statements(prepared.statements),
    )
    return _Query(request, prepared, principal)


def _prefetch_users(queries: Sequence[_Query | Exception | None], context: AppContext) -> None:
    """Prefetches the users of all SHOW GRANTS statements in *queries* with one read.

    Skips queries whose responses may be cached, and those of restricted principals, which may be
    denied.
    """
    names = [
        statement.user
        for query in queries
        if isinstance(query, _Query)
        and query.principal.has_full_access
        and not query.prepared.cached
        for statement in query.prepared.statements
        if isinstance(statement, ShowGrants)
    ]
    if len(names) > 1:
        with suppress(StoreUnavailable):  # each query reads again, and raises it then
            context.store.prefetch_users(names)


def _respond_or_error(
    query: _Query | Exception | None,
    snapshot: Snapshot,
    context: AppContext,
    responses: ResponseBuilder,
) -> BatchResponse:
    if not isinstance(query, _Query):
        return query
    try:
        return _respond(query, snapshot, context, responses)
    except Exception as error:
        return error


def _respond(
    query: _Query, snapshot: Snapshot, context: AppContext, responses: ResponseBuilder
) -> Response | PendingResponse | None:
    """Returns the response to *query*, or None if the endpoint `query` must answer it."""
    request, prepared, principal = query.request, query.prepared, query.principal
    # All unrestricted principals share one cached response.
    key = prepared if principal.has_full_access else (prepared, principal.name)
    cached = snapshot.cached(key) if prepared.cached else None
    if isinstance(cached, Response):
        context.metrics.count_statements(prepared.statement_names)
        return cached
    if not isinstance(cached, DeniedQuery):
        # A query that is not authorized is rejected here, also if it is not cheap.
        cached = find_denial(context, responses, principal, prepared)
        if cached is not None and prepared.cached:
            snapshot.cache(key, cached)
    if cached is not None:
        return cached.respond(request, context)
    if not prepared.runs_inline:
        return _pending_response(query, context)
    response = _execute(query, context)
    if prepared.cached and not request.log.error and len(response.body) <= _MAX_CACHED_BYTES:
        snapshot.cache(key, response)
    return response


def _pending_response(query: _Query, context: AppContext) -> PendingResponse | None:
    """Returns the pending response to *query* if it is a single GRANT or REVOKE.

    Returns None if the endpoint `query` must answer it.
    """
    request, prepared, principal = query.request, query.prepared, query.principal
    if not is_single_rights_change(prepared.statements) or not context.may_write(request):
        return None
    execution = QueryExecution(
        request, context.query_executor, principal, "", "", prepared.database, prepared.statements
    )
    execution.from_cache = prepared.parse_cached
    pending_change = execution.pending_change(principal)
    return (
        PendingResponse(execution, pending_change, prepared) if pending_change is not None else None
    )


def _execute(query: _Query, context: AppContext) -> Response:
    """Executes a cheap query, which only reads, and returns the response.

    Unlike `QueryExecution.statement_result`, adds no warning and writes no audit record: both are
    for changes only. The metrics count all statements in one step, which is faster.
    """
    request, prepared = query.request, query.prepared
    execute = context.engine.execute
    results = [
        *execute(prepared.statements, query.principal, prepared.database, request.audit_address)
    ]
    errors = [result.error for result in results if result.error]
    if errors:
        request.log.error = errors[0]  # the errors after the first are only `not executed`
    context.metrics.count_statements(
        prepared.statement_names, len(errors), cached=prepared.parse_cached
    )
    encoder = prepared.format()
    content = encoder.encode_results(
        [StatementResult(id, result) for id, result in enumerate(results)]
    )
    return encode_response(content, encoder, gzip=prepared.gzip)
