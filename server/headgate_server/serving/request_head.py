"""A request's head, for parsing it again."""

from headgate_server.http.parsed_request import BatchedRequest
from headgate_server.http.response import RawHeaders


class ParsedRequest:
    """The results of httptools' parser for *request*; the parser itself may be at a later one by
    now.
    """

    def __init__(self, request: BatchedRequest) -> None:
        self._request = request

    def get_method(self) -> bytes:
        """Returns the method."""
        return self._request.method.encode()

    def get_http_version(self) -> str:
        """Returns the version, such as "1.1"."""
        return self._request.version

    def should_keep_alive(self) -> bool:
        """Returns whether the connection may stay open after the response."""
        return self._request.keep_alive

    def should_upgrade(self) -> bool:
        """Returns False: a request without ASGI is never an upgrade."""
        return False


def encode_head(
    method: bytes, url: bytes, version: str, fields: RawHeaders, *, keep_upgrade: bool = True
) -> bytes:
    """Returns a request's head as bytes, with an offer of an upgrade only if *keep_upgrade*."""
    lines = [method + b" " + url + b" HTTP/" + version.encode()]
    for name, value in fields:
        if keep_upgrade:
            lines.append(name + b": " + value)
            continue
        if name == b"connection":
            tokens = (token.strip(b" \t") for token in value.split(b","))
            value = b", ".join(token for token in tokens if token.lower() != b"upgrade")
        if name != b"upgrade":
            lines.append(name + b": " + value)
    return b"\r\n".join([*lines, b"", b""])
