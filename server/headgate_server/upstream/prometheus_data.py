"""Decodes answers of Prometheus' HTTP API."""

import json

from headgate_server.upstream.errors import UpstreamRejected
from headgate_server.upstream.response_checks import error_message


def decode_values(body: bytes) -> list[str]:
    """Returns the strings in *body*, an answer of Prometheus' API.

    Raises UpstreamRejected if *body* has no `data`.
    """
    return [one for one in decode_list(body) if isinstance(one, str)]


def decode_list(body: bytes) -> list[object]:
    """Returns the list in *body*, an answer of Prometheus' API. Raises UpstreamRejected."""
    try:
        return list(json.loads(body)["data"])
    except (ValueError, LookupError, TypeError):
        raise UpstreamRejected(502, error_message(body)) from None
