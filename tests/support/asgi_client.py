"""Sends requests to an `Application` in this process, without a socket. Thread-safe.

All clients share one event loop, in a thread that starts with the first one. So a client costs less
than Starlette's test client, which starts a thread and a loop for each application.
"""

import asyncio
import json
import threading
from base64 import b64encode
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Self, TypeVar
from urllib.parse import urlencode, urlsplit

from headgate_server import Application

T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """A response; *headers* has the first value of each header, with the name in lower case."""

    status_code: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        return json.loads(self.body)


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return loop


class AsgiClient:
    """A client at 127.0.0.1 of *app*, which runs while this context manager is open."""

    def __init__(self, app: Application, host: str = "localhost") -> None:
        self.app, self._host = app, host

    def __enter__(self) -> Self:
        assert self.call(self.app.startup()), "the application does not start"
        return self

    def __exit__(self, *_: object) -> None:
        self.call(self.app.shutdown())

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs *work* in the event loop of the application, and returns its result."""
        return asyncio.run_coroutine_threadsafe(work, _loop()).result(60)

    def get(self, path: str, **request: Any) -> Answer:
        return self.request("GET", path, **request)

    def post(self, path: str, **request: Any) -> Answer:
        return self.request("POST", path, **request)

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        data: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        auth: tuple[str, str] | None = None,
    ) -> Answer:
        """Returns the response; *data* is sent as a form, *auth* as Basic."""
        parts = urlsplit(path)
        query = "&".join(filter(None, (parts.query, urlencode(params or {}))))
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        fields = [("host", self._host), *pairs]
        body = b""
        if data is not None:
            body = urlencode(data).encode()
            fields.append(("content-type", "application/x-www-form-urlencoded"))
            fields.append(("content-length", str(len(body))))
        if auth is not None:
            pair = b64encode(":".join(auth).encode()).decode()
            fields.append(("authorization", f"Basic {pair}"))
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": parts.path,
            "raw_path": parts.path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), it.encode("latin-1")) for name, it in fields],
            "client": ("127.0.0.1", 50000),
            "server": (self._host, 80),
            "state": {},
        }
        return self.call(self._send(scope, body))

    async def _send(self, scope: dict[str, Any], body: bytes) -> Answer:
        waiting = [{"type": "http.request", "body": body, "more_body": False}]
        ended = asyncio.Event()
        sent: list[Any] = []

        async def receive() -> Any:
            if waiting:
                return waiting.pop()
            await ended.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        try:
            await self.app(scope, receive, send)
        finally:
            ended.set()
        fields = [(name.decode(), it.decode("latin-1")) for name, it in sent[0]["headers"]]
        content = b"".join(message.get("body", b"") for message in sent[1:])
        return Answer(sent[0]["status"], dict(reversed(fields)), content)
