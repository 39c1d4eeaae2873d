"""Checks of responses of upstream stores: status, content coding, and the text of an error."""

import json

from headgate_server.upstream.connection_pool import UpstreamResponse
from headgate_server.upstream.errors import UpstreamProtocolError, UpstreamRejected

_MAX_ERROR_BYTES = 1 << 20


async def check_status(reply: UpstreamResponse) -> None:
    """Raises UpstreamRejected for a status of 400 or higher, UpstreamProtocolError for 3xx."""
    if 200 <= reply.status < 300:
        return
    if reply.status < 400:
        reply.close()
        raise UpstreamProtocolError
    raise UpstreamRejected(reply.status, error_message(await reply.read(_MAX_ERROR_BYTES)))


def check_encoding(reply: UpstreamResponse, accepted: tuple[str, ...]) -> None:
    """Raises UpstreamProtocolError if the `Content-Encoding` of *reply* is not in *accepted*."""
    if reply.header("Content-Encoding") not in accepted:
        reply.close()
        raise reply.protocol_error("an unrequested Content-Encoding")


def error_message(body: bytes) -> str:
    """Returns the error message in the *body* of an answer.

    If *body* has no JSON member `error`, returns the first 1000 characters of *body*.
    """
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    if isinstance(content, dict) and isinstance(content.get("error"), str):
        return str(content["error"])
    return body.decode("utf-8", "replace").strip()[:1000] or "the upstream store gave no reason"
