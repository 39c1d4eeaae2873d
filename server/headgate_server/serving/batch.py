"""Batching: requests that arrive in one iteration of the event loop are answered together."""

import asyncio
from collections.abc import Sequence
from contextvars import Context
from typing import Protocol

from starlette.types import Receive, Scope, Send

from headgate_server.http.parsed_request import ParsedRequest
from headgate_server.http.response import RawHeaders
from headgate_server.http.write_buffer import write_buffer
from headgate_server.telemetry.logging import log_internal_error


class AsgiContinuation(Protocol):
    """An ASGI application that answers a request of a batch after the request had to wait.

    Run it in a task with the context variables `context`.
    """

    @property
    def context(self) -> Context:
        """The context variables of the request."""
        ...

    @property
    def scope(self) -> Scope:
        """The request's ASGI scope, to which the server adds what it alone knows."""
        ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the response (ASGI)."""
        ...


BatchAnswer = bytes | AsgiContinuation


class RequestHandler(Protocol):
    """An ASGI application that also answers batches: `Application` implements it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request or a WebSocket (ASGI)."""
        ...

    def handle_batch(
        self, requests: Sequence[ParsedRequest], default_fields: RawHeaders
    ) -> Sequence[BatchAnswer]:
        """Returns one answer for each of *requests*, in the same order.

        An answer is one of:
        - bytes: the complete HTTP/1.1 response, with the header fields *default_fields*.
        - `b""`: the connection must be aborted.
        - an AsgiContinuation: the request has to wait, and this application sends the response.
        """
        ...

    def accepts_websocket(self, host: bytes, url: bytes) -> bool:
        """Returns whether a request for *host* and *url* may become a WebSocket."""
        ...


class PendingConnection(Protocol):
    """A connection with a request that waits for the end of the loop iteration."""

    transport: asyncio.Transport

    @property
    def default_fields(self) -> RawHeaders:
        """The header fields that the server adds to every response."""
        ...

    def take_request(self) -> ParsedRequest | None:
        """Returns the waiting request at the first call, and None at later calls."""
        ...

    def send_answer(self, request: ParsedRequest, answer: BatchAnswer) -> None:
        """Sends *answer*, which `RequestHandler.handle_batch` returned for *request*."""
        ...


class Batch:
    """Collects the requests of one event loop iteration, and has *handler* answer them together.

    This costs less than answering each alone: the code stays in the CPU cache, and the user store
    is checked for changes only once.
    """

    def __init__(self, handler: RequestHandler) -> None:
        self._handler = handler
        self._pending: list[PendingConnection] = []

    def add(self, connection: PendingConnection) -> None:
        """Adds the request of *connection* to the batch.

        The batch is answered once all available data of other connections has been read.
        """
        if not self._pending:
            asyncio.get_running_loop().call_soon(self._flush)
        self._pending.append(connection)

    def _flush(self) -> None:
        waiting, self._pending = self._pending, []
        buffer = write_buffer()
        buffer.delay_until_flush()
        try:
            self.run(waiting)
        finally:
            buffer.flush()

    def run(self, connections: Sequence[PendingConnection]) -> None:
        """Answers the waiting requests of *connections* now. Skips those without a request."""
        taken = [
            (one, request) for one in connections if (request := one.take_request()) is not None
        ]
        if not taken:
            return
        requests = [request for _, request in taken]
        try:
            answers = self._handler.handle_batch(requests, taken[0][0].default_fields)
        except Exception as error:
            log_internal_error(error, "")
            answers = [b""] * len(requests)
        for (connection, request), answer in zip(taken, answers, strict=True):
            try:
                connection.send_answer(request, answer)
            except Exception as error:  # the connections after it are unaffected
                log_internal_error(error, "")
                connection.transport.abort()
