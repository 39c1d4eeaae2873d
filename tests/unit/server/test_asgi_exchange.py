"""AsgiExchange: which bytes an ASGI application's messages become, and what it receives."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from headgate_server.http.response import ENCODED_RESPONSE
from headgate_server.http.write_buffer import write_buffer
from headgate_server.serving.asgi_exchange import MAX_UNREAD_BYTES, AsgiExchange
from headgate_server.serving.flow_control import FlowControl

App = Callable[[Any, Any, Any], Awaitable[None]]
START = {"type": "http.response.start", "status": 200, "headers": []}


class Line(asyncio.Transport):
    """A transport that stores what was written, and whether reading is paused."""

    def __init__(self) -> None:
        super().__init__()
        self.sent, self.closed, self.paused = b"", False, False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class Exchange:
    """An exchange on a Line; *completed* counts its complete responses."""

    def __init__(self, method: str = "GET", **options: Any) -> None:
        self.line, self.completed = Line(), 0
        self.flow = FlowControl(self.line)
        options = {"keep_alive": True} | options
        self.exchange = AsgiExchange(
            {"type": "http", "method": method},
            self.line,
            self.flow,
            write_buffer(),
            [(b"date", b"now")],
            self._complete,
            **options,
        )

    def _complete(self) -> None:
        self.completed += 1


def run(app: App, method: str = "GET", **options: Any) -> Exchange:
    async def main() -> Exchange:
        one = Exchange(method, **options)
        one.exchange.end_body()
        await one.exchange.run(app)
        write_buffer().flush()
        return one

    return asyncio.run(main())


def answering(*messages: dict[str, Any]) -> App:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send({"type": "http.response.body"} | message)

    return app


def start(status: int = 200, **headers: str) -> dict[str, Any]:
    fields = [(name.replace("_", "-").encode(), it.encode()) for name, it in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": fields}


@pytest.mark.parametrize(
    ("method", "messages", "expected"),
    [
        ("GET", [start(content_length="2"), {"body": b"ok"}], b"content-length: 2\r\n\r\nok"),
        (
            "GET",
            [start(), {"body": b"ok", "more_body": True}, {"body": b"!"}],
            b"transfer-encoding: chunked\r\n\r\n2\r\nok\r\n1\r\n!\r\n0\r\n\r\n",
        ),
        ("GET", [start(), {}], b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("GET", [start(204), {}], b"HTTP/1.1 204 No Content\r\ndate: now\r\n\r\n"),
        ("GET", [start(304), {}], b"HTTP/1.1 304 Not Modified\r\ndate: now\r\n\r\n"),
        ("GET", [start(299), {}], b"HTTP/1.1 299 \r\ndate: now\r\n"),
        ("HEAD", [start(content_length="9"), {"body": b"x"}], b"content-length: 9\r\n\r\n"),
        ("HEAD", [start(), {"body": b"x"}], b"HTTP/1.1 200 OK\r\ndate: now\r\n\r\n"),
        (
            "GET",
            [{"type": ENCODED_RESPONSE, "content": b"whole", "keep_alive": True}],
            b"whole",
        ),
    ],
)
def test_messages_become_a_response(
    method: str, messages: list[dict[str, Any]], expected: bytes
) -> None:
    one = run(answering(*messages), method)
    assert expected in one.line.sent and one.completed == 1 and not one.line.closed
    if messages[0].get("status", 0) in (204, 304) or method == "HEAD":
        assert one.line.sent.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("headers", [{}, {"connection": "close"}])
def test_a_connection_that_may_not_stay_open_is_closed(headers: dict[str, str]) -> None:
    first = start(content_length="0")
    first["headers"] += [(name.encode(), value.encode()) for name, value in headers.items()]
    one = run(answering(first, {}), keep_alive=bool(headers))
    assert one.line.closed and one.line.sent.count(b"connection: close\r\n") == 1


@pytest.mark.parametrize("stated", [True, False])
def test_an_encoded_response_says_once_that_the_connection_closes(stated: bool) -> None:
    field = b"" if stated else b"connection: close\r\n"
    content = b"HTTP/1.1 200 OK\r\n" + field + b"content-length: 2\r\n\r\n\r\n"
    message = {"type": ENCODED_RESPONSE, "content": content, "keep_alive": stated}
    one = run(answering(message), keep_alive=False)
    assert one.line.closed
    assert one.line.sent == (
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n\r\n"
    )


@pytest.mark.parametrize(
    "messages",
    [
        [{"body": b"too early"}],
        [start(), start()],
        [start(content_length="1"), {"body": b"ok"}],
        [start(content_length="3"), {"body": b"ok"}],
        [start(x="a\r\nSet-Cookie: b"), {}],
        [start(), {}, {}],
        [start(content_length="2"), {"body": b"o", "more_body": True}],
        [],
    ],
)
def test_an_invalid_application_ends_the_connection(messages: list[dict[str, Any]]) -> None:
    one = run(answering(*messages))
    assert one.line.closed or one.completed == 1
    assert b"Set-Cookie" not in one.line.sent
    if not one.line.sent.startswith(b"HTTP/1.1 200"):
        assert one.line.sent.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
        assert one.line.sent.endswith(b"\r\n\r\nInternal Server Error")


def test_an_error_before_the_response_is_500_and_one_in_it_breaks_it_off() -> None:
    async def early(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError

    async def late(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        raise ValueError

    assert run(early).line.sent.endswith(b"\r\n\r\nInternal Server Error")
    one = run(late)
    assert one.line.closed and one.line.sent.endswith(b"1\r\na\r\n")


def test_the_body_arrives_in_parts_and_much_of_it_pauses_reading() -> None:
    async def main() -> None:
        one = Exchange("POST")
        parts: list[tuple[bytes, bool]] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            while True:
                message = await receive()
                parts.append((message["body"], message["more_body"]))
                if not message["more_body"]:
                    break
            await answering(start(content_length="0"), {})(scope, receive, send)

        one.exchange.add_body(b"x" * (MAX_UNREAD_BYTES + 1))
        assert one.line.paused
        task = asyncio.ensure_future(one.exchange.run(app))
        await asyncio.sleep(0)
        assert not one.line.paused
        one.exchange.add_body(b"yes")
        await asyncio.sleep(0)
        one.exchange.end_body()
        await task
        assert [(len(part), more) for part, more in parts] == [
            (MAX_UNREAD_BYTES + 1, True),
            (3, True),
            (0, False),
        ]

    asyncio.run(main())


def test_the_client_may_continue_only_when_the_body_is_wanted() -> None:
    async def main() -> None:
        one = Exchange("POST", expects_continue=True)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await answering(start(content_length="0"), {})(scope, receive, send)

        task = asyncio.ensure_future(one.exchange.run(app))
        await asyncio.sleep(0)
        write_buffer().flush()
        assert one.line.sent == b"HTTP/1.1 100 Continue\r\n\r\n"
        one.exchange.end_body()
        await task

    asyncio.run(main())
    refused = run(answering(start(401, content_length="0"), {}), "POST", expects_continue=True)
    assert b"100 Continue" not in refused.line.sent


def test_a_client_that_disconnects_is_reported_and_gets_nothing_more() -> None:
    async def main() -> None:
        one = Exchange()
        heard: list[str] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            heard.append((await receive())["type"])
            await answering(start(), {"body": b"too late"})(scope, receive, send)

        task = asyncio.ensure_future(one.exchange.run(app))
        await asyncio.sleep(0)
        one.exchange.disconnect()
        await task
        write_buffer().flush()
        assert heard == ["http.disconnect"] and one.line.sent == b"" and one.completed == 0

    asyncio.run(main())


def test_a_full_connection_makes_the_application_wait() -> None:
    async def main() -> None:
        one = Exchange()
        one.flow.pause_writing()
        task = asyncio.ensure_future(one.exchange.run(answering(start(content_length="0"), {})))
        await asyncio.sleep(0)
        assert not task.done() and one.line.sent == b""
        one.flow.resume_writing()
        await task
        assert one.completed == 1

    asyncio.run(main())
