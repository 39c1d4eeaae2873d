"""Builds error responses for stores other than InfluxDB, as JSON of Prometheus' HTTP API."""

import json

from headgate_server.api.challenge import challenge
from headgate_server.api.error_statuses import ErrorStatus
from headgate_server.http.response import Response, to_raw_headers

_ERROR_TYPES = {
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


def error_response(text: str, error_status: ErrorStatus, realm: str) -> Response:
    """Returns the response `{"status": "error", ...}` with the error *text*.

    A 401 also has a Basic and a Bearer challenge for *realm*.
    """
    kind = _ERROR_TYPES.get(
        error_status.status, "internal" if error_status.status >= 500 else "bad_data"
    )
    content = {"status": "error", "errorType": kind, "error": text}
    headers = to_raw_headers({**error_status.headers, "Content-Type": "application/json"})
    if error_status.status == 401:
        for scheme in ("Basic", "Bearer"):
            headers.append((b"www-authenticate", challenge(realm, scheme).encode()))
    return Response(json.dumps(content).encode() + b"\n", error_status.status, headers)
