"""The last answer on a connection, to what is no request or takes too long."""

from http import HTTPStatus


def farewell(status: int) -> bytes:
    """A whole answer, as Go's server gives it."""
    text = f"{status} {HTTPStatus(status).phrase}".encode()
    head = (
        b"HTTP/1.1 " + text,
        b"content-type: text/plain; charset=utf-8",
        b"content-length: %d" % len(text),
        b"connection: close",
    )
    return b"\r\n".join([*head, b"", text])
