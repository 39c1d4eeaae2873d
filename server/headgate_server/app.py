"""The ASGI application: which path goes where, and what every answer carries."""

import uuid
from collections.abc import Awaitable, Callable

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from headgate_server.answer import Format, format_for
from headgate_server.form import pairs
from headgate_server.ping import ping
from headgate_server.query import query
from headgate_server.refusals import Refusal, refusal
from headgate_server.service import Service
from headgate_server.settings import Settings
from headgate_server.whoami import whoami
from headgate_server.write import write

Endpoint = Callable[[Request, Service, Format], Awaitable[Response]]

# Exact and undecoded, as InfluxDB matches paths: `/query/` and `/%71uery` are not found.
ROUTES: dict[bytes, dict[str, Endpoint]] = {
    b"/query": {"GET": query, "POST": query},
    b"/write": {"POST": write},
    b"/ping": {"GET": ping, "HEAD": ping},
    b"/api/whoami": {"GET": whoami},
}
_PREFLIGHT = frozenset({b"/query", b"/write"})

_CORS = {
    "Access-Control-Allow-Methods": "DELETE, GET, OPTIONS, POST, PUT",
    "Access-Control-Allow-Headers": "Accept, Accept-Encoding, Authorization, Content-Length,"
    " Content-Type, X-CSRF-Token, X-HTTP-Method-Override",
    "Access-Control-Expose-Headers": "Date, X-InfluxDB-Version, X-InfluxDB-Build",
}
_LONGEST_ERROR = 1024


class Application:
    """Serves InfluxDB 1.x's HTTP API over the store of *settings*.

    The store is opened when the server says that it starts, in the process that serves.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._service: Service | None = None
        self._about = {
            "X-Influxdb-Version": settings.reported_version,
            "X-Influxdb-Build": "Headgate",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            try:
                response = await self._answer(scope, Request(scope, receive))
            except ClientDisconnect:
                return  # nobody is there to answer
            await response(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self._service = Service(self._settings)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._service.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: Scope, request: Request) -> Response:
        path: bytes = scope.get("raw_path") or scope["path"].encode()
        endpoints = ROUTES.get(path)
        if endpoints is None:
            return self._plain(404, "404 page not found\n")
        endpoint = endpoints.get(request.method)
        if endpoint is not None:
            response = await self._call(endpoint, request)
        elif request.method == "OPTIONS" and path in _PREFLIGHT:
            response = Response()
        else:
            allowed = [*endpoints, *(["OPTIONS"] if path in _PREFLIGHT else [])]
            return self._plain(405, "Method Not Allowed\n", {"Allow": ", ".join(allowed)})
        response.headers.update(self._about)
        _identify(request, response)
        return response

    async def _call(self, endpoint: Endpoint, request: Request) -> Response:
        assert self._service is not None
        url = pairs(request.scope["query_string"])
        format = format_for(request.headers.get("accept", ""), pretty=url.get("pretty") == "true")
        try:
            return await endpoint(request, self._service, format)
        except Exception as error:
            # An error that is in no row of the table is a fault of ours: it goes on from here.
            return self._refused(refusal(error), str(error), format)

    def _refused(self, row: Refusal, reason: str, format: Format) -> Response:
        text = row.prefix + reason
        headers = row.headers | {"Content-Type": format.media_type}
        response = Response(format.error(text), row.status, headers=headers)
        if row.status == 401:
            response.headers["WWW-Authenticate"] = f'Basic realm="{self._settings.realm}"'
        else:
            response.raw_headers.append((b"x-influxdb-error", _header(text)))
        return response

    def _plain(self, status: int, text: str, headers: dict[str, str] | None = None) -> Response:
        response = Response(text, status, headers=headers, media_type="text/plain")
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers.update(self._about)
        return response


def _identify(request: Request, response: Response) -> None:
    """Gives the answer the request's id, or a new one, and says who may read it in a browser."""
    asked = request.headers
    id = asked.get("x-request-id") or asked.get("request-id") or str(uuid.uuid4())
    response.headers["Request-Id"] = id
    response.headers["X-Request-Id"] = id
    if "origin" in asked:
        response.headers["Access-Control-Allow-Origin"] = asked["origin"]
        response.headers.update(_CORS)


def _header(text: str) -> bytes:
    """*text* as a header's value: cut at 1024 bytes, line ends and control characters as blanks."""
    cut = text.encode("utf-8", "replace")[:_LONGEST_ERROR]
    return bytes(0x20 if byte < 0x20 or byte == 0x7F else byte for byte in cut).strip()


def application(settings: Settings) -> ASGIApp:
    """The application for *settings*."""
    return Application(settings)
