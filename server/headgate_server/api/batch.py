"""The table of endpoints that answer several requests of one event loop iteration together."""

from collections.abc import Callable, Sequence

from starlette.types import Message

from headgate_server.api.health import run_ping_batch
from headgate_server.api.query_batch import BatchResponse, run_query_batch
from headgate_server.api.response_builder import ResponseBuilder, request_id
from headgate_server.app_context import AppContext
from headgate_server.http.parsed_request import BatchedRequest
from headgate_server.http.request import Request

BatchEndpoint = Callable[[Sequence[Request], AppContext, ResponseBuilder], list[BatchResponse]]

# Batch endpoints, by method and path. Each answers only requests without a body, and leaves a
# request that needs waiting to ASGI.
BATCH_ENDPOINTS: dict[tuple[str, bytes], BatchEndpoint] = {
    ("GET", b"/query"): run_query_batch,
    ("POST", b"/query"): run_query_batch,
    ("GET", b"/ping"): run_ping_batch,
    ("HEAD", b"/ping"): run_ping_batch,
}


def to_request(parsed: BatchedRequest, proxies: tuple[str, ...]) -> Request:
    """Returns the `Request` for *parsed*, which has no body."""
    path, _, query = parsed.url.partition(b"?")
    scope = {
        "method": parsed.method,
        "raw_path": path,
        "query_string": query,
        "headers": parsed.headers,
        "client": parsed.client,
    }
    request = Request(scope, _receive_empty_body, proxies)
    request.route = path.decode("latin-1")
    request.log.id = request_id(request)
    return request


def group_by_endpoint(requests: Sequence[Request]) -> dict[BatchEndpoint, list[int]]:
    """Returns the batch endpoints that answer *requests*, each with the indexes of its requests."""
    found: dict[BatchEndpoint, list[int]] = {}
    for place, request in enumerate(requests):
        found.setdefault(BATCH_ENDPOINTS[request.method, request.raw_path], []).append(place)
    return found


async def _receive_empty_body() -> Message:
    """ASGI `receive` of a request whose empty body is complete."""
    return {"type": "http.request", "body": b"", "more_body": False}
