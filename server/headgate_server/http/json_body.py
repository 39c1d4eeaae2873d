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
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise TooLarge
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequest("the body is no valid JSON") from None
