"""Encodes a parsed request's head as bytes, to be parsed again by another protocol."""

from headgate_server.http.response import RawHeaders


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
