"""Collects the response of an ASGI application in memory."""

from starlette.types import ASGIApp, Message, Receive, Scope

from headgate_server.http.response import ASGIResponse, RawHeaders


async def collect(
    app: ASGIApp | ASGIResponse, scope: Scope, receive: Receive
) -> tuple[int, RawHeaders, bytes]:
    """Returns the status, the header fields and the body of the response of *app*."""
    status, headers, pieces = 500, RawHeaders(), list[bytes]()

    async def send(message: Message) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status, headers = message["status"], list(message.get("headers", ()))
        else:
            pieces.append(message.get("body", b""))

    await app(scope, receive, send)
    return status, headers, b"".join(pieces)
