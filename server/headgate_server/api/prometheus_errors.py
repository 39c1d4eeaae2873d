"""Error responses in the form of Prometheus' HTTP API."""

import json

from headgate_server.api.errors import Refusal
from headgate_server.http.response import Reply, fields

_TYPES = {
    400: "bad_data",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "bad_data",
    413: "bad_data",
    429: "unavailable",
    502: "unavailable",
    503: "unavailable",
    504: "timeout",
}


def refused(text: str, row: Refusal, realm: str) -> Reply:
    """Returns the response `{"status": "error", ...}`; a 401 has Basic and Bearer challenges."""
    kind = _TYPES.get(row.status, "internal" if row.status >= 500 else "bad_data")
    content = {"status": "error", "errorType": kind, "error": text}
    headers = fields({**row.headers, "Content-Type": "application/json"})
    if row.status == 401:
        for scheme in ("Basic", "Bearer"):
            headers.append((b"www-authenticate", f'{scheme} realm="{realm}"'.encode()))
    return Reply(json.dumps(content).encode() + b"\n", row.status, headers)
