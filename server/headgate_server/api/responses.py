"""Common header fields of responses, and error responses."""

from itertools import count
from uuid import uuid4

from headgate_server.api.errors import Refusal
from headgate_server.config.settings import Settings
from headgate_server.formats import Format
from headgate_server.http.request import Call
from headgate_server.http.response import Fields, Reply, fields, lines, typed

_CORS = fields(
    {
        "Access-Control-Allow-Methods": "DELETE, GET, OPTIONS, POST, PUT",
        "Access-Control-Allow-Headers": "Accept, Accept-Encoding, Authorization, Content-Length,"
        " Content-Type, X-CSRF-Token, X-HTTP-Method-Override",
        "Access-Control-Expose-Headers": "Date, X-InfluxDB-Version, X-InfluxDB-Build",
    }
)
_LONGEST_ERROR = 1024
# Request ids look like UUIDs: a random prefix for each process, then a counter. They are public.
_PREFIX = str(uuid4())[:24]
_NUMBERS = count(1)


class Answers:
    """Builds and encodes the responses of a server with *settings*."""

    def __init__(self, settings: Settings) -> None:
        self._about = fields(
            {
                "X-Influxdb-Version": settings.reported_version,
                "X-Influxdb-Build": "Headgate",
            }
        )
        self._about_lines = lines(self._about)
        self._also: Fields = []
        self._also_lines = b""
        self._challenge = f'Basic realm="{settings.realm}"'.encode()

    def carried(self, call: Call) -> Fields:
        """Returns the common fields of a response: server version, request id and CORS fields."""
        return self._about + self._own(call)

    def _own(self, call: Call) -> Fields:
        id = call.note.id.encode("latin-1")
        return [(b"request-id", id), (b"x-request-id", id), *_shared(call)]

    def written(self, reply: Reply, call: Call, also: Fields, *, keep: bool) -> bytes:
        """Returns *reply* encoded as HTTP/1.1, with the common fields and the fields *also*.

        Without *keep* it has `connection: close`. Raises ValueError for a control character in a
        field.
        """
        if also is not self._also:  # `Date` changes every second; its encoding is cached
            self._also, self._also_lines = also, lines(also)
        end = b"\r\n" if keep else b"connection: close\r\n\r\n"
        body = reply.body if call.method != "HEAD" else b""
        own = lines(self._own(call))
        return b"".join((reply.head(), self._about_lines, self._also_lines, own, end, body))

    def refused(self, row: Refusal, text: str, format: Format) -> Reply:
        """Returns the error response for *row* with *text*, encoded in *format*."""
        headers = fields(row.headers) + typed(format.media_type)
        if row.status == 401:
            headers.append((b"www-authenticate", self._challenge))
        else:
            headers.append((b"x-influxdb-error", _header(text)))
        return Reply(format.error(text), row.status, headers)

    def plain(self, status: int, text: str, headers: dict[str, str] | None = None) -> Reply:
        """Returns a plain-text response, for an error in the HTTP request itself."""
        kind = {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"}
        return Reply(text.encode(), status, fields(kind | (headers or {})) + self._about)


def _shared(call: Call) -> Fields:
    """Returns the CORS fields that let a page of any origin read the response."""
    origin = call.headers.get("origin")
    if not origin:
        return []
    return [(b"access-control-allow-origin", origin.encode("latin-1")), *_CORS]


def request_id(call: Call) -> str:
    """Returns the request id that the client sent, or a new one."""
    for name in ("x-request-id", "request-id"):
        given = call.headers.get(name)
        if given:
            return given
    return f"{_PREFIX}{next(_NUMBERS):012x}"


def _header(text: str) -> bytes:
    """Returns *text* as a header value of at most 1024 bytes, control characters as spaces."""
    cut = text.encode("utf-8", "replace")[:_LONGEST_ERROR]
    return bytes(0x20 if _forbidden(byte) else byte for byte in cut).strip()


def _forbidden(byte: int) -> bool:
    """Returns whether *byte* is not allowed in a field value. RFC 9110, 5.5 allows a tab."""
    return (byte < 0x20 and byte != 0x09) or byte == 0x7F
