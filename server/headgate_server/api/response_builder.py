"""Builds responses: the header fields that all responses have, and error responses."""

from itertools import count
from uuid import uuid4

from headgate_grammar import GenerationalCache
from headgate_server.api.challenge import challenge
from headgate_server.api.error_statuses import ErrorStatus
from headgate_server.config.settings import Settings
from headgate_server.formats import JsonEncoder, ResultEncoder
from headgate_server.http.cross_site import is_origin_allowed
from headgate_server.http.request import Request
from headgate_server.http.response import (
    ASGIResponse,
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
_REFUSED = (400, 401, 403, 404)
# RFC 9110, section 5.5: a field value has no control character but a tab.
_WITHOUT_CONTROLS = bytes(
    0x20 if (byte < 0x20 and byte != 0x09) or byte == 0x7F else byte for byte in range(256)
)
_MAX_REFUSALS = 256
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
        self._allowed_origins = settings.allowed_origins
        self._version_lines = encode_headers(self._version_headers)
        # Refusals, which tell no secret: by status, media type and content.
        self._refusals: GenerationalCache[tuple[int, str, bytes], Response] = GenerationalCache(
            _MAX_REFUSALS
        )
        self._default_fields: RawHeaders = []
        self._default_lines = b""
        self._challenge = challenge(settings.realm).encode()
        self._session_challenge = challenge(settings.realm, "Session").encode()

    def with_common_headers(self, response: ASGIResponse, request: Request) -> ASGIResponse:
        """Returns *response* with the server version, the request id and the CORS fields.

        A `Response` may be in a cache, so the fields are added to a copy. Any other response is
        changed in place.
        """
        fields = self._version_headers + self._request_headers(request)
        if isinstance(response, Response):
            headers = response.raw_headers + fields
            without_length = response.without_length
            return Response(
                response.body, response.status_code, headers, without_length=without_length
            )
        response.raw_headers += fields
        return response

    def _request_headers(self, request: Request) -> RawHeaders:
        id = request.log.id.encode("latin-1")
        fields = [(b"request-id", id), (b"x-request-id", id), *self._cors_headers(request)]
        return fields + request.extra_headers if request.extra_headers else fields

    def _cors_headers(self, request: Request) -> RawHeaders:
        """Returns the CORS fields that let a page of another origin read the response.

        `allowed-origins` lists the origins; without it, any page may, as in InfluxDB. There are no
        fields for a request with a cookie: another site may not read what a session may read.
        """
        origin = request.headers.raw(b"origin")
        if not origin or (request.accepts_cookie and request.headers.raw(b"cookie")):
            return []
        if not is_origin_allowed(origin.decode("latin-1"), self._allowed_origins):
            return []
        return [(b"access-control-allow-origin", origin), *_CORS_HEADERS]

    def encode_http1(
        self, response: Response, request: Request, default_fields: RawHeaders, *, keep_alive: bool
    ) -> bytes:
        """Returns *response* encoded as HTTP/1.1, with the server's fields *default_fields*.

        Adds the fields of `with_common_headers` if `adds_common_headers` of *request* is True. Adds
        `connection: close` unless *keep_alive* is True. Raises ValueError for a control character
        in a field's value.
        """
        # `Date` changes every second only: the encoding is cached.
        if default_fields is not self._default_fields:
            self._default_fields, self._default_lines = (
                default_fields,
                encode_headers(default_fields),
            )
        end = b"\r\n" if keep_alive else b"connection: close\r\n\r\n"
        body = response.body if request.method != "HEAD" else b""
        head, default_lines = response.encode_head(), self._default_lines
        if not request.adds_common_headers:
            return b"".join((head, default_lines, end, body))
        own = encode_headers(self._request_headers(request))
        return b"".join((head, self._version_lines, default_lines, own, end, body))

    def account_error(self, error_status: ErrorStatus, text: str, code: str) -> Response:
        """Returns the response of an endpoint of accounts with the error *text* and its *code*."""
        content: dict[str, object] = {"error": text, "errors": [text]}
        if code:
            content["code"] = code
        headers = to_raw_headers(error_status.headers) + content_headers(JsonEncoder.media_type)
        headers.append((b"cache-control", b"no-store"))
        if error_status.status == 401:
            headers.append((b"www-authenticate", self._session_challenge))
        return Response(JsonEncoder().encode(content), error_status.status, headers)

    def error_response(
        self,
        error_status: ErrorStatus,
        text: str,
        encoder: ResultEncoder,
        *,
        by_session: bool = False,
    ) -> Response:
        """Returns the response with *error_status* and the error *text*, encoded by *encoder*.

        *by_session* is whether the login came by a cookie: then a browser must not ask for a
        password.
        """
        content = encoder.encode_error(text)
        key = (error_status.status, encoder.media_type, content)
        cacheable = (
            error_status.status in _REFUSED
            and not error_status.headers
            and not by_session
            # The text of a syntax error may show a password.
            and (error_status.status != 400 or not error_status.prefix)
        )
        if cacheable and (found := self._refusals.get(key)):
            return found
        headers = to_raw_headers(error_status.headers) + content_headers(encoder.media_type)
        if error_status.status == 401:
            asked = self._session_challenge if by_session else self._challenge
            headers.append((b"www-authenticate", asked))
        else:
            headers.append((b"x-influxdb-error", _header_value(text)))
        response = Response(content, error_status.status, headers)
        if cacheable and len(content) <= _MAX_ERROR_BYTES:
            self._refusals.put(key, response)
        return response

    def text_response(
        self, status: int, text: str, headers: dict[str, str] | None = None
    ) -> Response:
        """Returns a plain-text response, for errors such as an unknown path or method."""
        kind = {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"}
        return Response(
            text.encode(), status, to_raw_headers(kind | (headers or {})) + self._version_headers
        )


def request_id(request: Request) -> str:
    """Returns the request id that the client sent, or a new one."""
    headers = request.headers
    if client_id := headers.raw(b"x-request-id") or headers.raw(b"request-id"):
        return client_id.decode("latin-1")
    return f"{_ID_PREFIX}{next(_ID_COUNTER):012x}"


def _header_value(text: str) -> bytes:
    """Returns *text* as a header value of at most 1024 bytes. Control characters become spaces."""
    cut = text.encode("utf-8", "replace")[:_MAX_ERROR_BYTES]
    return cut.translate(_WITHOUT_CONTROLS).strip()
