"""Sends a response: by ASGI messages, or as bytes if the request belongs to a batch.

A batch is a group of requests that the server runs together, without a task for each.
"""

from contextvars import Context
from typing import Protocol

from starlette.types import Message, Receive, Scope, Send

from headgate_server.api.response_builder import ResponseBuilder
from headgate_server.http.eager_batch import Suspended, enter_task, in_batch
from headgate_server.http.parsed_request import ParsedRequest
from headgate_server.http.request import Request
from headgate_server.http.response import ENCODED_RESPONSE, ASGIResponse, RawHeaders, Response
from headgate_server.http.response_recorder import CLIENT_DISCONNECTED_STATUS, ResponseRecorder


class Delivery(Protocol):
    """Sends the response to one request."""

    @property
    def status(self) -> int:
        """The status that was sent, or 499 if the client disconnected before."""
        ...

    @property
    def size(self) -> int:
        """How many bytes of the body were sent."""
        ...

    async def send(self, response: ASGIResponse) -> None:
        """Sends *response*, with the common header fields if the request asks for them."""
        ...


class AsgiDelivery:
    """Implements `Delivery` by ASGI's *send*."""

    def __init__(self, request: Request, responses: ResponseBuilder, send: Send) -> None:
        self._request, self._responses = request, responses
        self._recorder = ResponseRecorder(send)

    async def send(self, response: ASGIResponse) -> None:
        """Sends *response* by ASGI, with the common header fields if the request asks for them."""
        request = self._request
        if request.adds_common_headers:
            response = self._responses.with_common_headers(response, request)
        await response(request.scope, request.receive, self._recorder)

    @property
    def status(self) -> int:
        """The status that was sent, or 499 if the client disconnected before."""
        return self._recorder.status

    @property
    def size(self) -> int:
        """How many bytes of the body were sent."""
        return self._recorder.size


class BatchDelivery:
    """Implements `Delivery` for a request of a batch.

    A whole response that is ready without waiting becomes *encoded*: the bytes of HTTP/1.1, with
    the server's header fields *default_fields*. After `attach`, these bytes are sent by the ASGI
    extension `ENCODED_RESPONSE`, and any other response by ASGI's own messages.
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
        """Gives the request its ASGI connection: the request continues in a task of its own."""
        self.request.attach(scope, receive)
        self._send = send

    async def send(self, response: ASGIResponse) -> None:
        """Encodes *response* if it is whole. If not, sends it by the messages of ASGI.

        After the end of the batch, an encoded response is sent at once.
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
    """ASGI application that continues a request of a batch, because the request has to wait.

    The caller must run it with the context variables in `context`.
    """

    def __init__(self, delivery: BatchDelivery, suspended: Suspended[None]) -> None:
        self._delivery, self._suspended = delivery, suspended

    @property
    def context(self) -> Context:
        """The context variables with which the request began, and must continue."""
        return self._suspended.context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Continues the request, and sends its response."""
        self._delivery.attach(scope, receive, send)
        await self._suspended.result()


def to_request(parsed: ParsedRequest, proxies: tuple[str, ...]) -> Request:
    """Returns the `Request` for *parsed*, without an ASGI connection.

    *proxies* are the networks of trusted proxies.
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
    }
    return Request(scope, _receive_nothing, proxies, parsed.body, parsed.headers)


async def _receive_nothing() -> Message:
    """Stands in for ASGI's `receive` until the request has an ASGI connection: raises an error."""
    raise RuntimeError("the request has no ASGI connection yet")
