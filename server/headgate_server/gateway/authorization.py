"""Authorizes requests to an upstream store's own HTTP API, by the store's route table.

A route table lists the privilege that each path and method requires. Headgate applies it to the
requests that it proxies, and in forward authentication. In forward authentication, a reverse proxy
asks Headgate whether a request is allowed, and then forwards the request itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from headgate_engine import Engine, Principal
from headgate_server.config.route import Route
from headgate_server.gateway.database_access import AccessDecision, authorize_databases
from headgate_server.gateway.mount import Mount
from headgate_server.http.errors import BadRequest
from headgate_server.http.go_text import decode_utf8
from headgate_server.upstream.headers import TENANT_HEADER

_DATABASE_PATH = "/db/"


class RouteNotFound(Exception):
    """The route table lacks the path, or lacks the method for the path.

    *methods* contains the methods that the path allows; it is empty for an unknown path.
    """

    def __init__(self, methods: set[str]) -> None:
        super().__init__("method not allowed" if methods else "not found")
        self.methods = methods


@dataclass(slots=True)
class RouteRequest:
    """The parts of a request that authorization depends on.

    *path* has passed `validated_path`. It lacks the path prefix (option `mount`) by which clients
    select the upstream store.
    """

    method: str
    path: str
    query: bytes
    requested_tenants: Sequence[str] = ()  # the values of the header X-Scope-OrgID


@dataclass(slots=True)
class AuthorizedRoute:
    """An authorized request.

    *path* is the path of the request, without the name of a database. *route* is the entry of the
    route table for this path. *decision* names the databases of the request.
    """

    path: str
    route: Route
    decision: AccessDecision


@dataclass(slots=True)
class RouteMatch:
    """The entry of the route table that a request matches.

    *path* is the path of the request, without the name of a database. *pattern* is the path in the
    entry *route* that matches; it may contain `*`. *requested_tenants* are the databases that the
    request names in its path, headers and query. Empty texts among them are ignored.
    """

    path: str
    pattern: str
    route: Route
    requested_tenants: tuple[str, ...]


def match_route(mount: Mount, route_request: RouteRequest) -> RouteMatch:
    """Returns the route that *route_request* matches. Raises RouteNotFound if there is none."""
    assert mount.proxied is not None
    path, tenant = _split_database(route_request.path)
    path, databases = mount.proxied.api.split_databases(path, route_request.query)
    match = mount.proxied.route_table.match(route_request.method, path)
    if match is None:
        raise RouteNotFound(mount.proxied.route_table.methods(path))
    return RouteMatch(path, *match, (*route_request.requested_tenants, tenant, *databases))


def authorize_route(
    mount: Mount, engine: Engine, match: RouteMatch, principal: Principal
) -> AuthorizedRoute:
    """Authorizes the matched request for *principal*.

    Raises Forbidden, AdminRequiredFirst, BadRequest or DatabaseNotFound: see
    `authorize_databases`.
    """
    assert mount.proxied is not None
    decision = authorize_databases(
        engine,
        principal,
        mount.settings,
        mount.proxied.api,
        match.route,
        match.requested_tenants,
    )
    return AuthorizedRoute(match.path, match.route, decision)


def _split_database(path: str) -> tuple[str, str]:
    """Returns *path* without a leading `/db/<database>`, and the name of that database.

    Returns *path* and "" if *path* has no such beginning.
    """
    if not path.startswith(_DATABASE_PATH):
        return path, ""
    name, slash, rest = path.removeprefix(_DATABASE_PATH).partition("/")
    if not name or not slash:
        return path, ""
    return slash + rest, decode_utf8(unquote_to_bytes(name))


def requested_tenants(values: Sequence[str]) -> list[str]:
    """Returns the *values* of X-Scope-OrgID as a list. Raises BadRequest if they differ."""
    if len(values) > 1 and len(set(values)) > 1:
        raise BadRequest(f"more than one {TENANT_HEADER}")
    return list(values)
