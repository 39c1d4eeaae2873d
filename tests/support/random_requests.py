"""Generates random HTTP requests, most of them nearly valid, so that they pass the first checks."""

import json
import random
import zlib
from base64 import b64encode
from urllib.parse import quote, quote_plus

from support.random_statements import Statements, mutated

GOOD = "Basic " + b64encode(b"root:Toor-1").decode()
METHODS = ["GET", "POST"] * 20 + "HEAD PUT DELETE OPTIONS PATCH CONNECT TRACE BREW get".split()
PATHS = (
    ["/query"] * 40
    + ["/write", "/api/whoami"] * 5
    + "/api/v2/write /ping /status /health /metrics /api/whoami /openapi.json / //query /query/"
    " /%71uery /../query /query;x * http://x/query query /\xff /debug/vars".split(" ")
)
PARAMETERS = "q db u p params pretty chunked async epoch precision bucket rp chunk_size Q".split()
HEADERS = (
    "Accept Accept-Encoding Content-Type Content-Encoding Content-Length Connection"
    " Transfer-Encoding Expect Upgrade Host Origin X-Request-Id Request-Id X-Forwarded-For Cookie"
    " Range If-None-Match TE Trailer X-HTTP-Method-Override Sec-WebSocket-Key"
).split()
VALUES = (
    "",
    " ",
    "0",
    "-1",
    "1e9",
    "99999999999999999999",
    "true",
    "null",
    "gzip",
    "gzip, chunked",
    "chunked",
    "identity;q=0, *",
    "100-continue",
    "websocket",
    "h2c",
    "close",
    "keep-alive, upgrade",
    "application/json",
    "application/csv;q=nan",
    "application/x-msgpack",
    "text/csv, */*;q=0.1",
    "multipart/form-data; boundary=b",
    "application/x-www-form-urlencoded; charset=utf-16",
    "Basic",
    "Basic ====",
    "Basic " + b64encode(b"\xff\xfe:\x00").decode(),
    "Basic " + b64encode(b"no colon").decode(),
    "Basic " + b64encode(b":" * 100).decode(),
    "Bearer a.b.c",
    "Bearer eyJhbGciOiJub25lIn0.e30.",
    "Token root:Toor-1",
    "Token \xe9:\xff",
    "Negotiate x",
    "bytes=0-",
    "\x7f\x01\x0b",
    "\xff\xfe\xfd",
    "a" * 5000,
    "%00%ff%zz%",
    "\u2028",
)
BITS = (
    b"\r\n",
    b"\n",
    b"\0",
    b"\r",
    b" ",
    b":",
    b"\xff",
    b"%",
    b"&",
    b";",
    b"HTTP/1.1",
    b"HTTP/9.9",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"0\r\n\r\n",
    b"GET /ping HTTP/1.1\r\n\r\n",
)


class Requests:
    """Generates requests as bytes; the same sequence for the same *seed*."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._statements = Statements(seed)

    def one(self) -> bytes:
        """Returns a request, a damaged request, two requests, or random bytes."""
        choose = self._random.random()
        if choose < 0.03:
            return self._random.randbytes(self._random.randrange(1, 400))
        request = self._request()
        if choose < 0.2:
            request = self._broken(request)
        if choose > 0.97:
            request += self._request()
        return request

    def _request(self) -> bytes:
        pick = self._random.choice
        body = self._body()
        headers = [f"{pick(HEADERS)}: {self._value()}" for _ in range(self._random.randrange(3))]
        if self._random.random() < 0.8:
            headers.append("Host: x")
        headers.append(f"Authorization: {GOOD if self._random.random() < 0.9 else self._value()}")
        if body and self._random.random() < 0.95:
            headers.append(f"Content-Length: {len(body)}")
        if body and self._random.random() < 0.7:
            headers.append("Content-Type: application/x-www-form-urlencoded")
        self._random.shuffle(headers)
        version = pick(["1.1"] * 9 + ["1.0"])
        target = pick(PATHS) + self._query()
        lines = [f"{pick(METHODS)} {target} HTTP/{version}", *headers, "", ""]
        return "\r\n".join(lines).encode("utf-8", "replace") + body

    def _query(self) -> str:
        if self._random.random() < 0.2:
            return ""
        return "?" + self._pairs()

    def _pairs(self) -> str:
        pairs = []
        if self._random.random() < 0.8:
            pairs.append(f"q={self._quoted(self._text())}")
        for _ in range(self._random.randrange(4)):
            value = self._text() if self._random.random() < 0.2 else self._value()
            pairs.append(f"{self._random.choice(PARAMETERS)}={self._quoted(value)}")
        self._random.shuffle(pairs)
        return "&".join(pairs)

    def _quoted(self, text: str) -> str:
        raw = text.encode("utf-8", "surrogatepass")
        return self._random.choice((quote, quote_plus))(raw)

    def _text(self) -> str:
        text = "; ".join(self._statements.statement() for _ in range(self._random.randrange(1, 4)))
        return mutated(text, self._random) if self._random.random() < 0.2 else text

    def _value(self) -> str:
        if self._random.random() < 0.1:
            depth = self._random.randrange(1, 3000)
            return json.dumps({"a": 1}) if depth < 1000 else "[" * depth
        return self._random.choice(VALUES)

    def _body(self) -> bytes:
        match self._random.randrange(6):
            case 0:
                return self._pairs().encode()
            case 1:
                field = f'--b\r\nContent-Disposition: form-data; name="q"\r\n\r\n{self._text()}\r\n'
                return (field + "--b--\r\n").encode("utf-8", "replace")
            case 2:
                return zlib.compress(b"m value=1\n" * 100, wbits=31)
            case 3:
                return self._random.randbytes(self._random.randrange(200))
            case _:
                return b""

    def _broken(self, request: bytes) -> bytes:
        """Returns *request* with one to five random replacements."""
        for _ in range(self._random.randrange(1, 6)):
            at = self._random.randrange(len(request) + 1)
            cut = at + self._random.randrange(3)
            request = request[:at] + self._random.choice(BITS) + request[cut:]
        return request
