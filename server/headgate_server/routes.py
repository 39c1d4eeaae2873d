"""What answers each path that Headgate answers itself."""

from collections.abc import Awaitable, Callable

from headgate_server.call import Call
from headgate_server.formats import Format
from headgate_server.gateway.endpoints import ENDPOINTS
from headgate_server.gateway.mounted import Mounted
from headgate_server.openapi import openapi
from headgate_server.ping import health, ping, show_metrics, status
from headgate_server.query import query
from headgate_server.remote import READ_PATH, WRITE_PATH, prom_read, prom_write, unserved
from headgate_server.reply import Response
from headgate_server.service import Service
from headgate_server.whoami import whoami
from headgate_server.write import write, write_v2

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
# By path and method; a path that is refused is refused for every method.
ROUTES: dict[str, dict[str, Endpoint]] = {
    path: {method: _HANDLERS.get(path, unserved) for method in endpoint.methods or METHODS}
    for path, endpoint in ENDPOINTS.items()
}
