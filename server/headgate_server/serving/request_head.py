"""A request's head, as it was heard, for who hears it once more."""

from headgate_server.http.parsed_request import Request
from headgate_server.http.response import Fields


class Heard:
    """What httptools' parser said of *request* when it was whole; it may be further by now."""

    def __init__(self, request: Request) -> None:
        self._request = request

    def get_method(self) -> bytes:
        return self._request.method.encode()

    def get_http_version(self) -> str:
        return self._request.version

    def should_keep_alive(self) -> bool:
        return self._request.keep_alive

    def should_upgrade(self) -> bool:
        return False


def head(method: bytes, url: bytes, version: str, fields: Fields, *, offer: bool = True) -> bytes:
    """A request's head again; without the *offer* to speak another protocol, if so."""
    lines = [method + b" " + url + b" HTTP/" + version.encode()]
    for name, value in fields:
        if offer:
            lines.append(name + b": " + value)
            continue
        if name == b"connection":
            tokens = (token.strip(b" \t") for token in value.split(b","))
            value = b", ".join(token for token in tokens if token.lower() != b"upgrade")
        if name != b"upgrade":
            lines.append(name + b": " + value)
    return b"\r\n".join([*lines, b"", b""])
