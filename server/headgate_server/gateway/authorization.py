"""Authorizes requests to an upstream store's own HTTP API, by the store's route table.

Used for requests that Headgate proxies, and for forward authentication.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from headgate_engine import Engine, Principal
from headgate_server.config.gateway import Route
from headgate_server.gateway.mount import Mount
from headgate_server.gateway.tenants import AccessDecision, authorize_databases
from headgate_server.http.errors import BadRequest
from headgate_server.http.go_text import decode_utf8
from headgate_server.http.urlencoded import iterate_pairs
from headgate_server.upstream.headers import TENANT_HEADER
from headgate_server.upstream.victoriametrics import single_node_path

_DATABASE_PATH = "/db/"


class RouteNotFound(Exception):
    """The route table lacks the path, or lacks the method for the path.

    *methods* contains the methods that the path allows; it is empty for an unknown path.
    """

    def __init__(self, methods: set[str]) -> None:
        super().__init__("method not allowed" if methods else "not found")
        self.methods = methods


@dataclass(frozen=True, slots=True)
class RouteRequest:
    """The parts of a request that authorization depends on.

    *path* is validated and relative to the mount of the store.
    """

    method: str
    path: str
    query: bytes
    requested_tenants: Sequence[str] = ()  # the values of the header X-Scope-OrgID


@dataclass(frozen=True, slots=True)
class AuthorizedRoute:
    """An authorized request: the path in the upstream store, the route, and the databases."""

    path: str
    route: Route
    decision: AccessDecision


@dataclass(frozen=True, slots=True)
class RouteMatch:
    """A request that matches *pattern* of the route table.

    *requested_tenants* are the databases that the request names.
    """

    path: str
    pattern: str
    route: Route
    requested_tenants: tuple[str, ...]


def match_route(mount: Mount, route_request: RouteRequest) -> RouteMatch:
    """Returns the route that *route_request* matches. Raises RouteNotFound, BadRequest."""
    path, tenant = _split_database(route_request.path)
    tenants = [*route_request.requested_tenants, tenant]
    if mount.settings.protocol == "victoriametrics":
        path, account = single_node_path(path, mount.settings)
        tenants += [account, *_query_databases(route_request.query)]
    assert mount.route_table is not None
    match = mount.route_table.match(route_request.method, path)
    if match is None:
        raise RouteNotFound(mount.route_table.methods(path))
    return RouteMatch(path, *match, tuple(tenants))


def authorize_route(
    mount: Mount, engine: Engine, match: RouteMatch, principal: Principal
) -> AuthorizedRoute:
    """Authorizes *match* for *principal*. Raises what `tenants.authorize_databases` raises."""
    decision = authorize_databases(
        engine, principal, mount.settings, match.route, match.requested_tenants
    )
    return AuthorizedRoute(match.path, match.route, decision)


def _split_database(path: str) -> tuple[str, str]:
    """Returns *path* without a leading `/db/<database>`, and that database, or ""."""
    if not path.startswith(_DATABASE_PATH):
        return path, ""
    name, slash, rest = path.removeprefix(_DATABASE_PATH).partition("/")
    if not name or not slash:
        return path, ""
    return slash + rest, decode_utf8(unquote_to_bytes(name))


def _query_databases(query: bytes) -> list[str]:
    """Returns the databases in the parameters `db`.

    Without a `db`, returns the databases in the parameters `bucket`, as in InfluxDB 2.
    """
    pairs = list(iterate_pairs(query))
    named = [value for name, value in pairs if name == "db"]
    if not named:
        named = [value.partition("/")[0] for name, value in pairs if name == "bucket"]
    return named


def requested_tenants(values: Sequence[str]) -> list[str]:
    """Returns *values*, from the headers X-Scope-OrgID. Raises BadRequest if they differ."""
    if len(values) > 1 and len(set(values)) > 1:
        raise BadRequest(f"more than one {TENANT_HEADER}")
    return list(values)
