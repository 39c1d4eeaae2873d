"""Passes on a parsed request's head: to uvicorn as a parser does, or as bytes to parse again."""

from headgate_server.http.parsed_request import ParsedRequest
from headgate_server.http.response import RawHeaders


class ReplayedHead:
    """Stands in for httptools' parser: returns what that parser found for *request*.

    uvicorn asks the parser when it runs a request. By then the parser may have read a later one.
    """

    def __init__(self, request: ParsedRequest) -> None:
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
        """Returns False: a request of the batch is never an upgrade."""
        return False


def encode_head(
    method: bytes, url: bytes, version: str, fields: RawHeaders, *, keep_upgrade: bool = True
) -> bytes:
    """Returns a request's head as the bytes of HTTP/1: request line and header *fields*.

    Without *keep_upgrade*, leaves out `Upgrade`, the client's offer to change the protocol.
    """
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
