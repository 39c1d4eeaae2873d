"""What every answer carries, and the answers that refuse."""

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
# Ids look like UUIDs. They are no secret: a process has the first half, and counts.
_PREFIX = str(uuid4())[:24]
_NUMBERS = count(1)


class Answers:
    """Those of a server with *settings*."""

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
        """The server's name and the request's id, and who may read the answer in a browser."""
        return self._about + self._own(call)

    def _own(self, call: Call) -> Fields:
        id = call.note.id.encode("latin-1")
        return [(b"request-id", id), (b"x-request-id", id), *_shared(call)]

    def written(self, reply: Reply, call: Call, also: Fields, *, keep: bool) -> bytes:
        """*reply* and what it carries, *also* the server's own fields, as HTTP/1.1 writes them;
        *keep* the connection open or not.

        Raises ValueError for a control character in a field.
        """
        if also is not self._also:  # another second
            self._also, self._also_lines = also, lines(also)
        end = b"\r\n" if keep else b"connection: close\r\n\r\n"
        body = reply.body if call.method != "HEAD" else b""
        own = lines(self._own(call))
        return b"".join((reply.head(), self._about_lines, self._also_lines, own, end, body))

    def refused(self, row: Refusal, text: str, format: Format) -> Reply:
        """The refusal *row* of a request that wants its answer in *format*."""
        headers = fields(row.headers) + typed(format.media_type)
        if row.status == 401:
            headers.append((b"www-authenticate", self._challenge))
        else:
            headers.append((b"x-influxdb-error", _header(text)))
        return Reply(format.error(text), row.status, headers)

    def plain(self, status: int, text: str, headers: dict[str, str] | None = None) -> Reply:
        """A sentence about the request itself."""
        kind = {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"}
        return Reply(text.encode(), status, fields(kind | (headers or {})) + self._about)


def _shared(call: Call) -> Fields:
    """Says that a browser may show the answer to the page that asks."""
    origin = call.headers.get("origin")
    if not origin:
        return []
    return [(b"access-control-allow-origin", origin.encode("latin-1")), *_CORS]


def request_id(call: Call) -> str:
    """The request's, or one of its own."""
    for name in ("x-request-id", "request-id"):
        given = call.headers.get(name)
        if given:
            return given
    return f"{_PREFIX}{next(_NUMBERS):012x}"


def _header(text: str) -> bytes:
    """*text* as a header's value: cut at 1024 bytes, line ends and control characters as blanks."""
    cut = text.encode("utf-8", "replace")[:_LONGEST_ERROR]
    return bytes(0x20 if _forbidden(byte) else byte for byte in cut).strip()


def _forbidden(byte: int) -> bool:
    """By RFC 9110, which lets a tab stand in a value."""
    return (byte < 0x20 and byte != 0x09) or byte == 0x7F
