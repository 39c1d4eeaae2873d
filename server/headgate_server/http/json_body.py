"""Reads the body of a request as JSON."""

import json
from typing import Any

from headgate_server.http.errors import BadRequest, TooLarge
from headgate_server.http.request import Request

MAX_BODY_BYTES = 1 << 16


async def read_json(request: Request) -> Any:
    """Returns the JSON document in the body of *request*.

    Raises BadRequest for invalid JSON, TooLarge above 64 KiB.
    """
    return parse_json(await read_bytes(request, MAX_BODY_BYTES))


async def read_bytes(request: Request, limit: int) -> bytes:
    """Returns the body of *request*. Raises TooLarge above *limit* bytes."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > limit:
            raise TooLarge
    return bytes(body)


def parse_json(body: bytes) -> Any:
    """Returns the JSON document *body*. Raises BadRequest for invalid JSON or a repeated key."""
    try:
        return json.loads(body, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        raise BadRequest("the body is no valid JSON") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise BadRequest("the body has a repeated key")
    return found
