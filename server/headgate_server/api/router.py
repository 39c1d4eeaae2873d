"""The table of endpoints: the handler for each path and method that Headgate serves itself."""

from collections.abc import Awaitable, Callable

from headgate_server.api.health import health, ping, show_metrics, status
from headgate_server.api.openapi import openapi
from headgate_server.api.prometheus_remote import (
    READ_PATH,
    WRITE_PATH,
    prom_read,
    prom_write,
    unserved,
)
from headgate_server.api.query import query
from headgate_server.api.whoami import whoami
from headgate_server.api.write import write, write_v2
from headgate_server.app_context import Service
from headgate_server.formats import Format
from headgate_server.gateway.local_paths import ENDPOINTS
from headgate_server.gateway.mount import Mounted
from headgate_server.http.request import Call
from headgate_server.http.response import Response

Endpoint = Callable[[Call, Service, Format, Mounted | None], Awaitable[Response]]

METHODS = frozenset("GET HEAD POST PUT PATCH DELETE OPTIONS".split())
PREFLIGHT = frozenset({"/query", "/write"})
WRITES = (write, write_v2, prom_write)
_HANDLERS: dict[str, Endpoint] = {
    "/query": query,
    "/write": write,
    "/api/v2/write": write_v2,
    WRITE_PATH: prom_write,
    READ_PATH: prom_read,
    "/ping": ping,
    "/status": status,
    "/health": health,
    "/metrics": show_metrics,
    "/api/whoami": whoami,
    "/openapi.json": openapi,
}
# By path and method. A path that is not served is rejected for every method.
ROUTES: dict[str, dict[str, Endpoint]] = {
    path: {method: _HANDLERS.get(path, unserved) for method in endpoint.methods or METHODS}
    for path, endpoint in ENDPOINTS.items()
}
