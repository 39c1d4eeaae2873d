"""The table of endpoints: for each path and method, the function that answers the request."""

from collections.abc import Awaitable, Callable

from headgate_server.api.access import access
from headgate_server.api.accounts.routes import ACCOUNT_ROUTES
from headgate_server.api.apply import apply
from headgate_server.api.authzen import (
    evaluate,
    evaluate_all,
    search_resources,
    search_subjects,
)
from headgate_server.api.health import health, ping, show_metrics, status
from headgate_server.api.openapi import openapi
from headgate_server.api.prometheus_remote import (
    READ_PATH,
    WRITE_PATH,
    not_served,
    prom_read,
    prom_write,
)
from headgate_server.api.query import query
from headgate_server.api.reload import reload
from headgate_server.api.whoami import whoami
from headgate_server.api.write import write, write_v2
from headgate_server.app_context import AppContext
from headgate_server.formats import ResultEncoder
from headgate_server.gateway.local_paths import CONSOLE_PATHS, ENDPOINTS, Endpoint, Requirement
from headgate_server.gateway.mount import Mount
from headgate_server.http.request import Request
from headgate_server.http.response import ASGIResponse

Handler = Callable[[Request, AppContext, ResultEncoder, Mount | None], Awaitable[ASGIResponse]]

HTTP_METHODS = frozenset("GET HEAD POST PUT PATCH DELETE OPTIONS".split())
PREFLIGHT_PATHS = frozenset({"/query", "/write"})
WRITE_HANDLERS = (write, write_v2, prom_write)
_HANDLERS: dict[str, Handler] = {
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
    "/api/access": access,
    "/api/apply": apply,
    "/api/reload": reload,
    "/access/v1/evaluation": evaluate,
    "/access/v1/evaluations": evaluate_all,
    "/access/v1/search/subject": search_subjects,
    "/access/v1/search/resource": search_resources,
    "/openapi.json": openapi,
}
_NOT_SERVED = (Requirement.NOT_SERVED, Requirement.STORE_METRICS)


def _handler(path: str, endpoint: Endpoint) -> Handler:
    """Returns the function for *path*. Raises KeyError if `_HANDLERS` lacks it."""
    return not_served if endpoint.requirement in _NOT_SERVED else _HANDLERS[path]


# The handlers by path and method, except for the console's. `not_served` rejects its paths for
# every method.
ROUTES: dict[str, dict[str, Handler]] = {
    path: ACCOUNT_ROUTES[path]
    if path in ACCOUNT_ROUTES
    else dict.fromkeys(endpoint.methods or HTTP_METHODS, _handler(path, endpoint))
    for path, endpoint in ENDPOINTS.items()
    if path not in CONSOLE_PATHS
}
