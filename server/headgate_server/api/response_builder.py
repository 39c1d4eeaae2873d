"""Common header fields of responses, and error responses."""

from itertools import count
from uuid import uuid4

from headgate_server.api.challenge import challenge
from headgate_server.api.error_statuses import ErrorStatus
from headgate_server.config.settings import Settings
from headgate_server.formats import ResultEncoder
from headgate_server.http.request import Request
from headgate_server.http.response import (
    RawHeaders,
    Response,
    content_headers,
    encode_headers,
    to_raw_headers,
)

_CORS_HEADERS = to_raw_headers(
    {
        "Access-Control-Allow-Methods": "DELETE, GET, OPTIONS, POST, PUT",
        "Access-Control-Allow-Headers": "Accept, Accept-Encoding, Authorization, Content-Length,"
        " Content-Type, X-CSRF-Token, X-HTTP-Method-Override",
        "Access-Control-Expose-Headers": "Date, X-InfluxDB-Version, X-InfluxDB-Build",
    }
)
_MAX_ERROR_BYTES = 1024
# Request ids look like UUIDs: a random prefix for each process, then a counter. They are public.
_ID_PREFIX = str(uuid4())[:24]
_ID_COUNTER = count(1)


class ResponseBuilder:
    """Builds and encodes the responses of a server with *settings*."""

    def __init__(self, settings: Settings) -> None:
        self._version_headers = to_raw_headers(
            {
                "X-Influxdb-Version": settings.reported_version,
                "X-Influxdb-Build": "Headgate",
            }
        )
        self._version_lines = encode_headers(self._version_headers)
        self._default_fields: RawHeaders = []
        self._default_lines = b""
        self._challenge = challenge(settings.realm).encode()

    def common_headers(self, request: Request) -> RawHeaders:
        """Returns the common fields of a response: server version, request id and CORS fields."""
        return self._version_headers + self._request_headers(request)

    def _request_headers(self, request: Request) -> RawHeaders:
        id = request.log.id.encode("latin-1")
        return [(b"request-id", id), (b"x-request-id", id), *_cors_headers(request)]

    def encode_http1(
        self, response: Response, request: Request, default_fields: RawHeaders, *, keep_alive: bool
    ) -> bytes:
        """Returns *response* encoded as HTTP/1.1, with the common fields and *default_fields*.

        Adds `connection: close` unless *keep_alive* is True. Raises ValueError for a control
        character in a field.
        """
        # `Date` changes every second only: the encoding is cached.
        if default_fields is not self._default_fields:
            self._default_fields, self._default_lines = (
                default_fields,
                encode_headers(default_fields),
            )
        end = b"\r\n" if keep_alive else b"connection: close\r\n\r\n"
        body = response.body if request.method != "HEAD" else b""
        own = encode_headers(self._request_headers(request))
        return b"".join(
            (response.encode_head(), self._version_lines, self._default_lines, own, end, body)
        )

    def error_response(
        self, error_status: ErrorStatus, text: str, encoder: ResultEncoder
    ) -> Response:
        """Returns the error response for *error_status* with *text*, encoded in *encoder*."""
        headers = to_raw_headers(error_status.headers) + content_headers(encoder.media_type)
        if error_status.status == 401:
            headers.append((b"www-authenticate", self._challenge))
        else:
            headers.append((b"x-influxdb-error", _header_value(text)))
        return Response(encoder.encode_error(text), error_status.status, headers)

    def text_response(
        self, status: int, text: str, headers: dict[str, str] | None = None
    ) -> Response:
        """Returns a plain-text response, for an error in the HTTP request itself."""
        kind = {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"}
        return Response(
            text.encode(), status, to_raw_headers(kind | (headers or {})) + self._version_headers
        )


def _cors_headers(request: Request) -> RawHeaders:
    """Returns the CORS fields that let a page of any origin read the response."""
    origin = request.headers.get("origin")
    if not origin:
        return []
    return [(b"access-control-allow-origin", origin.encode("latin-1")), *_CORS_HEADERS]


def request_id(request: Request) -> str:
    """Returns the request id that the client sent, or a new one."""
    for name in ("x-request-id", "request-id"):
        client_id = request.headers.get(name)
        if client_id:
            return client_id
    return f"{_ID_PREFIX}{next(_ID_COUNTER):012x}"


def _header_value(text: str) -> bytes:
    """Returns *text* as a header value of at most 1024 bytes, control characters as spaces."""
    cut = text.encode("utf-8", "replace")[:_MAX_ERROR_BYTES]
    return bytes(0x20 if _is_forbidden(byte) else byte for byte in cut).strip()


def _is_forbidden(byte: int) -> bool:
    """Returns whether *byte* is not allowed in a field value. RFC 9110, 5.5 allows a tab."""
    return (byte < 0x20 and byte != 0x09) or byte == 0x7F
