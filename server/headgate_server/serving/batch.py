"""What was heard in one turn of the loop, answered together at its end."""

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
    """What is asked beside ASGI."""

    def may_answer(self, method: str, path: bytes) -> bool:
        """Whether there is any use in asking `at_once` about such a request."""
        ...

    def at_once(self, requests: Sequence[Request], also: Fields) -> Sequence[Answer]:
        """The answers to *requests*, in their order, as HTTP/1.1 writes them, with the fields
        *also*; b"" where there is none, and the connection is to be broken off. Where somebody or
        something has to be waited for, who answers when that is over; or None: the request is still
        to be done from the beginning.
        """
        ...

    def upgrades(self, host: bytes, url: bytes) -> bool:
        """Whether what is sent to a host and URL may become a WebSocket."""
        ...


class Waiting(Protocol):
    """A connection whose request waits for the end of the turn. *also* are the fields that the
    server adds to every answer.
    """

    transport: asyncio.Transport

    @property
    def also(self) -> Fields: ...

    def take(self) -> Request | None:
        """The request, once."""
        ...

    def give(self, request: Request, answer: Answer) -> None:
        """The *answer* to what was taken, as `at_once` gives it."""
        ...


class Inbox:
    """Of what comes in together each step is taken for all before the next one: the processor finds
    its instructions where it has just had them, and the store is asked once whether it has changed.
    """

    def __init__(self, application: Answering) -> None:
        self._application = application
        self._waiting: list[Waiting] = []

    def put(self, connection: Waiting) -> None:
        """The request of *connection* is answered when what was ready to be read has been read."""
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
        """Has the requests of *connections* answered now, as far as they still wait."""
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
            except Exception as error:  # those behind it are no worse for it
                report(error, "")
                connection.transport.abort()
