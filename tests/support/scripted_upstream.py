"""An upstream store with a scripted response for each statement, and a client that reads it."""

import gzip
import http.client
import json
import socket
from base64 import b64encode
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode

import msgpack

from support.raw_connections import connected, heard
from support.raw_upstream import Answering
from support.servers import Server

OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
EMPTY = b'{"results":[{"statement_id":0}]}\n'
ACCEPT = {"json": "application/json", "csv": "text/csv", "msgpack": "application/x-msgpack"}
Wait = Callable[[], object]
PLAIN: dict[str, Any] = {}
CHUNKED: dict[str, Any] = {"chunked": "true"}
ASYNC: dict[str, Any] = {"async": "true"}


def statement(request: bytes) -> str:
    """Returns the form parameter `q` of *request*, or ""."""
    return parameter(request, "q")


def parameter(request: bytes, name: str) -> str:
    """Returns the form parameter *name* of *request*, or ""."""
    body = request.partition(b"\r\n\r\n")[2].decode()
    return parse_qs(body, keep_blank_values=True).get(name, [""])[0]


@dataclass
class Script:
    """The responses of the upstream store: for each statement a function in *answers*.

    A statement without a function gets an empty result. *asked* has the statements received.
    """

    answers: dict[str, Answering] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def __call__(self, line: socket.socket, request: bytes) -> None:
        text = statement(request)
        self.asked.append(text)
        default = isinstance(self.answers, defaultdict)
        answer = self.answers[text] if default or text in self.answers else sends(EMPTY)
        answer(line, request)


def sends(*parts: "bytes | Wait", more: bytes = b"", whole: bool = True) -> Answering:
    """Returns a function that sends *parts* as chunks. A part that is a function is called instead.

    Without *whole*, the response ends without its last chunk. *more* are further header lines.
    """

    def answer(line: socket.socket, request: bytes) -> None:
        line.sendall(OK + more + b"Transfer-Encoding: chunked\r\n\r\n")
        for part in parts:
            if callable(part):
                part()
            elif part:
                line.sendall(b"%x\r\n%b\r\n" % (len(part), part))
        if whole:
            line.sendall(b"0\r\n\r\n")

    return answer


def closes(line: socket.socket, request: bytes) -> None:
    """Sends nothing, so that the connection is closed without a response."""


def status(code: int, text: str) -> Answering:
    """Returns a function that sends the status *code* with the JSON error *text*."""
    body = json.dumps({"error": text}).encode()
    head = b"HTTP/1.1 %d X\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (code, len(body))
    return lambda line, request: line.sendall(head + body)


def rows(count: int, mark: str = "a") -> dict[str, Any]:
    """Returns the content of a result with *count* rows of about 20 bytes each."""
    values = [[number, f"{mark}{number:09}"] for number in range(count)]
    return {"series": [{"name": "m", "columns": ["time", "v"], "values": values}]}


def encoded(name: str, *contents: dict[str, Any]) -> bytes:
    """Returns a response body in the format *name*, with a result for each of *contents*."""
    numbered = [{"statement_id": id} | content for id, content in enumerate(contents)]
    match name:
        case "json":
            return json.dumps({"results": numbered}, separators=(",", ":")).encode() + b"\n"
        case "msgpack":
            packed: bytes | None = msgpack.packb({"results": numbered})
            return packed or b""
        case _:
            return b"\n".join(
                b"".join(
                    b"name,tags,time,v\n" + b"".join(b"m,,%d,%b\n" % (t, v.encode()) for t, v in s)
                    for s in [one["series"][0]["values"]]
                )
                for one in contents
            )


def halves(content: bytes) -> tuple[bytes, bytes]:
    return content[: len(content) // 2], content[len(content) // 2 :]


@dataclass(frozen=True)
class Got:
    """The response that a client read; *whole* is False if the connection ended too early."""

    status: int
    whole: bool
    body: bytes

    @property
    def results(self) -> Any:
        return json.loads(self.body)["results"]

    @property
    def errors(self) -> list[str]:
        return [result.get("error", "") for result in self.results]


def headers(basic: tuple[str, str], accept: str, *, packed: bool = False) -> dict[str, str]:
    return {
        "Authorization": "Basic " + b64encode(":".join(basic).encode()).decode(),
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": accept,
        "Accept-Encoding": "gzip" if packed else "identity",
    }


def fetch(
    server: Server,
    text: str,
    basic: tuple[str, str],
    name: str = "json",
    *,
    packed: bool = False,
    version: str = "1.1",
    **fields: str,
) -> Got:
    """Sends the statements *text*; returns the response as far as received, decompressed if whole.

    *name* is the format in `ACCEPT`. *packed* requests gzip. *fields* are further form parameters.
    """
    form = urlencode({"q": text} | fields).encode()
    target = "/query?pretty=true" if fields.get("pretty") else "/query"
    sent = headers(basic, ACCEPT[name], packed=packed)
    head = "".join(f"{key}: {value}\r\n" for key, value in sent.items())
    request = f"POST {target} HTTP/{version}\r\nHost: x\r\n{head}Content-Length: {len(form)}\r\n"
    with connected(server) as line:
        if version == "1.0":
            line.sendall(request.encode() + b"\r\n" + form)
            return _of_1_0(heard(line), packed=packed)
        line.sendall(request.encode() + b"\r\n" + form)
        response = http.client.HTTPResponse(line, method="POST")
        try:
            response.begin()
        except (http.client.HTTPException, ConnectionError):
            return Got(0, False, b"")
        parts, whole = [], True
        try:
            while part := response.read1(1 << 16):
                parts.append(part)
            whole = not response.length
        except (http.client.HTTPException, ConnectionError):
            whole = False
        body = b"".join(parts)
        return Got(response.status, whole, _unpacked(body) if packed and whole else body)


def _of_1_0(answer: bytes, *, packed: bool) -> Got:
    """Parses the HTTP/1.0 response *answer*. `whole` tells if the body has the Content-Length."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    lengths = [int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:")]
    whole = lengths == [len(body)]
    return Got(int(head.split(b" ")[1]), whole, _unpacked(body) if packed and whole else body)


def _unpacked(body: bytes) -> bytes:
    return gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
