"""Line protocol on its way to a store: authorized by its database, and never looked into."""

from dataclasses import dataclass
from urllib.parse import urlencode

from headgate_server.call import Call
from headgate_server.compression import checked
from headgate_server.form import body
from headgate_server.formats import Format
from headgate_server.gateway.influx import check
from headgate_server.gateway.upstream import Upload, Upstream
from headgate_server.reply import Reply, typed
from headgate_server.text import readable

_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Line:
    """Where lines go, and what they mean by their times: of the request only this is sent on."""

    database: str
    policy: str = ""
    precision: str = ""
    consistency: str = ""

    def target(self, fixed: tuple[tuple[str, str], ...] = ()) -> str:
        """The path and query for a store; *fixed* comes behind everything else."""
        fields = {
            "db": readable(self.database),
            "rp": readable(self.policy),
            "precision": self.precision,
            "consistency": readable(self.consistency),
        }
        given = [(name, value) for name, value in fields.items() if value]
        return "/write?" + urlencode([*given, *fixed])


async def write(
    upstream: Upstream,
    call: Call,
    target: str,
    limit: int,
    format: Format,
    component: str = "",
) -> Reply:
    """204 when the store has acknowledged it. Raises TooLarge, BadRequest, Answered,
    UpstreamError.
    """
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("User-Agent", "headgate")]
    gzip = call.headers.get("content-encoding", "") == "gzip"
    if gzip:
        headers.append(("Content-Encoding", "gzip"))
    length = call.headers.get("content-length", "")
    if length.isascii() and length.isdigit():
        headers.append(("Content-Length", length))
    headers.append(("X-Request-Id", call.note.id))
    upload = Upload(checked(body(call, limit), limit) if gzip else body(call, limit))
    reply = await upstream.send("POST", target, headers, upload, component=component)
    await check(reply)
    await reply.read(_LARGEST)  # what breaks off is no acknowledgement
    return Reply(status_code=204, raw_headers=typed(format.media_type))
