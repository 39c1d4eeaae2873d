"""Batch: requests received in one iteration of the event loop are handled together at its end."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from headgate_server.http.header_fields import Headers
from headgate_server.http.parsed_request import ParsedRequest
from headgate_server.http.response import RawHeaders
from headgate_server.serving.batch import Batch, BatchAnswer


class Answering:
    """Answers with the path; at /broken there is a fault."""

    def __init__(self) -> None:
        self.turns: list[list[bytes]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("every request is in a batch")

    def accepts_websocket(self, host: bytes, url: bytes) -> bool:
        return False

    def handle_batch(
        self, requests: Sequence[ParsedRequest], default_fields: RawHeaders
    ) -> list[bytes]:
        urls = [request.url for request in requests]
        self.turns.append(urls)
        if b"/broken" in urls:
            raise RuntimeError("a fault")
        return urls


class Line(asyncio.Transport):
    """A transport that implements only `abort`."""

    aborted = False

    def abort(self) -> None:
        self.aborted = True


class Client:
    default_fields: RawHeaders = []

    def __init__(self, url: bytes) -> None:
        self.url = url
        self.transport: asyncio.Transport = Line()
        self.waits = True
        self.heard: list[BatchAnswer] = []

    def take_request(self) -> ParsedRequest | None:
        if not self.waits:
            return None
        self.waits = False
        return ParsedRequest("GET", self.url, Headers([]), None, "1.1", keep_alive=True)

    def send_answer(self, request: ParsedRequest, answer: BatchAnswer) -> None:
        if self.url == b"/deaf":
            raise RuntimeError("it hears nothing")
        self.heard.append(answer)


async def turn(urls: list[bytes], settled: int = -1) -> tuple[list[list[bytes]], list[Client]]:
    """Returns the URLs handled in each batch, and the clients.

    The client with the index *settled* runs at once, before the end of the iteration.
    """
    application = Answering()
    inbox, clients = Batch(application), [Client(url) for url in urls]
    for client in clients:
        inbox.add(client)
    if settled >= 0:
        inbox.run([clients[settled]])
    await asyncio.sleep(0)
    return application.turns, clients


def test_all_are_answered_together() -> None:
    turns, clients = asyncio.run(turn([b"/a", b"/b"]))
    assert turns == [[b"/a", b"/b"]]
    assert [client.heard for client in clients] == [[b"/a"], [b"/b"]]


def test_a_request_that_could_not_wait_is_answered_once() -> None:
    turns, clients = asyncio.run(turn([b"/a", b"/b"], settled=0))
    assert turns == [[b"/a"], [b"/b"]]
    assert [client.heard for client in clients] == [[b"/a"], [b"/b"]]
    turns, _ = asyncio.run(turn([b"/a"], settled=0))
    assert turns == [[b"/a"]]


def test_where_there_is_a_fault_all_hear_that_there_is_no_answer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, clients = asyncio.run(turn([b"/a", b"/broken"]))
    assert [client.heard for client in clients] == [[b""], [b""]]


def test_a_closed_connection_takes_nothing_from_the_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, clients = asyncio.run(turn([b"/a", b"/deaf", b"/b"]))
    assert [client.heard for client in clients] == [[b"/a"], [], [b"/b"]]
    broken = [client.transport for client in clients if client.url == b"/deaf"]
    assert isinstance(broken[0], Line) and broken[0].aborted
