"""The last response on a connection: to a request that is invalid or arrives too slowly."""

from http import HTTPStatus


class RequestRejected(Exception):
    """Raised in a callback of httptools to stop the parser: the rest of the request is unread."""


def final_response(status: int) -> bytes:
    """Returns the last response of a connection, with *status*, as Go's server writes it."""
    text = f"{status} {HTTPStatus(status).phrase}".encode()
    head = (
        b"HTTP/1.1 " + text,
        b"content-type: text/plain; charset=utf-8",
        b"content-length: %d" % len(text),
        b"connection: close",
    )
    return b"\r\n".join([*head, b"", text])
