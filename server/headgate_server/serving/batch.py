"""Batching: the requests of one iteration of the event loop are answered together at its end."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from starlette.types import ASGIApp

from headgate_server.http.parsed_request import Request
from headgate_server.http.response import Fields
from headgate_server.http.write_buffer import outbox
from headgate_server.telemetry.logging import report

Answer = bytes | ASGIApp | None


class Answering(Protocol):
    """The application's interface beside ASGI."""

    def may_answer(self, method: str, path: bytes) -> bool:
        """Returns whether `at_once` may answer such a request."""
        ...

    def at_once(self, requests: Sequence[Request], also: Fields) -> Sequence[Answer]:
        """Returns the answers to *requests*, in their order.

        An answer in bytes is an HTTP/1.1 response with the fields *also*; b"" aborts the
        connection. If the answer has to wait for something, it is the ASGI application that
        completes it. None means that the request has to start again, through ASGI.
        """
        ...

    def upgrades(self, host: bytes, url: bytes) -> bool:
        """Returns whether a request for *host* and *url* may become a WebSocket."""
        ...


class Waiting(Protocol):
    """A connection with a request that waits for the end of the loop iteration."""

    transport: asyncio.Transport

    @property
    def also(self) -> Fields:
        """The fields that the server adds to every response."""
        ...

    def take(self) -> Request | None:
        """Returns the request, once; then None."""
        ...

    def give(self, request: Request, answer: Answer) -> None:
        """Handles the *answer* to the taken *request*, in the form of `Answering.at_once`."""
        ...


class Inbox:
    """Runs the requests of one loop iteration as a batch, stage by stage.

    That keeps the code of a stage in the CPU cache, and the store is checked for changes once.
    """

    def __init__(self, application: Answering) -> None:
        self._application = application
        self._waiting: list[Waiting] = []

    def put(self, connection: Waiting) -> None:
        """Adds the request of *connection* to the batch. It runs when all available data has been
        read.
        """
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._turn)
        self._waiting.append(connection)

    def _turn(self) -> None:
        waiting, self._waiting = self._waiting, []
        try:
            self.answer(waiting)
        finally:
            outbox().flush()

    def answer(self, connections: Sequence[Waiting]) -> None:
        """Answers the requests of *connections* now, as far as they still wait."""
        taken = [(one, request) for one in connections if (request := one.take()) is not None]
        if not taken:
            return
        requests = [request for _, request in taken]
        try:
            answers = self._application.at_once(requests, taken[0][0].also)
        except Exception as error:
            report(error, "")
            answers = [b""] * len(requests)
        for (connection, request), answer in zip(taken, answers, strict=True):
            try:
                connection.give(request, answer)
            except Exception as error:  # the connections after it are unaffected
                report(error, "")
                connection.transport.abort()
