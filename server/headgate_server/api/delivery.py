"""Sends responses: by ASGI messages, or as encoded HTTP/1.1 for the requests of a batch.

A batch is a group of requests that the server runs together, without a task for each.
"""

from contextvars import Context
from typing import Protocol

from starlette.types import Message, Receive, Scope, Send

from headgate_server.api.response_builder import ResponseBuilder
from headgate_server.http.eager_batch import Suspended, enter_task, in_batch
from headgate_server.http.parsed_request import ParsedRequest
from headgate_server.http.request import RELAYED_CLIENT, Request
from headgate_server.http.response import ENCODED_RESPONSE, ASGIResponse, RawHeaders, Response
from headgate_server.http.response_recorder import CLIENT_DISCONNECTED_STATUS, ResponseRecorder
from headgate_server.http.trusted_proxies import TrustedProxies


class Delivery(Protocol):
    """Sends the response to one request."""

    @property
    def status(self) -> int:
        """The HTTP status that was sent, or 499 if the client disconnected first."""
        ...

    @property
    def size(self) -> int:
        """How many bytes of the body were sent."""
        ...

    async def send(self, response: ASGIResponse) -> None:
        """Sends *response*.

        If `Request.adds_common_headers` is True, adds the server version, the request id and the
        CORS fields.
        """
        ...


class AsgiDelivery:
    """Implements `Delivery` with the ASGI callable *send*."""

    def __init__(self, request: Request, responses: ResponseBuilder, send: Send) -> None:
        self._request, self._responses = request, responses
        self._recorder = ResponseRecorder(send)

    async def send(self, response: ASGIResponse) -> None:
        """Sends *response* by ASGI messages. Adds the same header fields as `Delivery.send`."""
        request = self._request
        if request.adds_common_headers:
            response = self._responses.with_common_headers(response, request)
        await response(request.scope, request.receive, self._recorder)

    @property
    def status(self) -> int:
        """The HTTP status that was sent, or 499 if the client disconnected first."""
        return self._recorder.status

    @property
    def size(self) -> int:
        """How many bytes of the body were sent."""
        return self._recorder.size


class BatchDelivery:
    """Implements `Delivery` for a request of a batch.

    A response with its whole body is encoded as HTTP/1.1, with the server's header fields
    *default_fields*. During the batch, the caller sends these bytes, which `encoded` holds. After
    `attach`, `send` sends them by the ASGI extension `ENCODED_RESPONSE`. Any other response is sent
    by ASGI messages. Unless *keep_alive* is True, the encoded response has `Connection: close`.
    """

    def __init__(
        self,
        request: Request,
        responses: ResponseBuilder,
        default_fields: RawHeaders,
        keep_alive: bool,
    ) -> None:
        self.request = request
        self.encoded = b""
        self.status, self.size = CLIENT_DISCONNECTED_STATUS, 0
        self._responses, self._default_fields = responses, default_fields
        self._keep_alive = keep_alive
        self._send: Send | None = None

    def attach(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sets the ASGI connection of a request that continues in a task, outside the batch."""
        request = self.request
        request.scope, request.receive, self._send = scope, receive, send

    async def send(self, response: ASGIResponse) -> None:
        """Encodes *response* if it has its whole body. Otherwise sends it by ASGI messages.

        Outside the batch, also sends the encoded response.
        """
        if isinstance(response, Response) and not response.without_length:
            self.encoded = self._responses.encode_http1(
                response, self.request, self._default_fields, keep_alive=self._keep_alive
            )
            if not in_batch():
                assert self._send is not None
                encoded = {"content": self.encoded, "keep_alive": self._keep_alive}
                await self._send({"type": ENCODED_RESPONSE, **encoded})
            self.status, self.size = response.status_code, len(response.body)
            return
        await enter_task()
        assert self._send is not None
        delivery = AsgiDelivery(self.request, self._responses, self._send)
        try:
            await delivery.send(response)
        finally:
            self.status, self.size = delivery.status, delivery.size


class Continuation:
    """An ASGI application that runs the rest of a request that had to wait in its batch.

    The caller must run it with the context variables in `context`.
    """

    def __init__(self, delivery: BatchDelivery, suspended: Suspended[None]) -> None:
        self._delivery, self._suspended = delivery, suspended

    @property
    def context(self) -> Context:
        """The context variables of the request, which the caller must use for its task."""
        return self._suspended.context

    @property
    def scope(self) -> Scope:
        """The request's ASGI scope, without the keys that only the server knows."""
        return self._delivery.request.scope

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the request from the point where it had to wait, and sends its response."""
        self._delivery.attach(scope, receive, send)
        await self._suspended.result()


def to_request(parsed: ParsedRequest, proxies: TrustedProxies | None) -> Request:
    """Returns the `Request` for *parsed*, without an ASGI connection.

    *proxies* are the trusted proxies.
    """
    path, _, query = parsed.url.partition(b"?")
    scope = {
        "type": "http",
        "method": parsed.method,
        "http_version": parsed.version,
        "raw_path": path,
        "query_string": query,
        "headers": parsed.headers.fields,
        "client": parsed.client,
        RELAYED_CLIENT: parsed.relayed_client,
    }
    return Request(scope, _receive_nothing, proxies, parsed.body, parsed.headers)


async def _receive_nothing() -> Message:
    """Raises RuntimeError. It is ASGI's `receive` until the request has an ASGI connection."""
    raise RuntimeError("the request has no ASGI connection yet")
