"""Authorizes requests to stores with a route table, when proxied and in forward authentication."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from headgate_engine import Engine, Principal
from headgate_server.config.gateway import Route
from headgate_server.gateway.mount import Mounted
from headgate_server.gateway.tenants import Decision, decide
from headgate_server.http.errors import BadRequest
from headgate_server.http.go_text import lossless
from headgate_server.http.urlencoded import decoded_pairs
from headgate_server.upstream.headers import TENANT
from headgate_server.upstream.victoriametrics import own_path

_DATABASE_PATH = "/db/"


class NoRoute(Exception):
    """The route table lacks the path, or the method for it; *methods* contains the allowed ones."""

    def __init__(self, methods: set[str]) -> None:
        super().__init__("method not allowed" if methods else "not found")
        self.methods = methods


@dataclass(frozen=True, slots=True)
class View:
    """The parts of a request that authorization depends on.

    *path* is validated and relative to the mount of the store.
    """

    method: str
    path: str
    query: bytes
    wishes: Sequence[str] = ()  # the values of the header X-Scope-OrgID


@dataclass(frozen=True, slots=True)
class Judged:
    """An authorized request, and the path that it is forwarded to."""

    path: str
    route: Route
    decision: Decision


@dataclass(frozen=True, slots=True)
class Found:
    """A request that matches *pattern* of the route table, and the databases that it names."""

    path: str
    pattern: str
    route: Route
    wishes: tuple[str, ...]


def find(mounted: Mounted, view: View) -> Found:
    """Returns the route that *view* matches. Raises NoRoute, BadRequest."""
    path, named = _from_path(view.path)
    wishes = [*view.wishes, named]
    if mounted.settings.protocol == "victoriametrics":
        path, account = own_path(path, mounted.settings)
        wishes += [account, *_from_query(view.query)]
    assert mounted.table is not None
    found = mounted.table.find(view.method, path)
    if found is None:
        raise NoRoute(mounted.table.methods(path))
    return Found(path, *found, tuple(wishes))


def judge(mounted: Mounted, engine: Engine, found: Found, principal: Principal) -> Judged:
    """Authorizes *found* for *principal*. Raises what `tenant.decide` raises."""
    decision = decide(engine, principal, mounted.settings, found.route, found.wishes)
    return Judged(found.path, found.route, decision)


def _from_path(path: str) -> tuple[str, str]:
    """Returns *path* without a leading `/db/<database>`, and that database, or ""."""
    if not path.startswith(_DATABASE_PATH):
        return path, ""
    name, slash, rest = path.removeprefix(_DATABASE_PATH).partition("/")
    if not name or not slash:
        return path, ""
    return slash + rest, lossless(unquote_to_bytes(name))


def _from_query(query: bytes) -> list[str]:
    """Returns the databases in the parameters `db`, or else in InfluxDB 2's `bucket`."""
    pairs = list(decoded_pairs(query))
    named = [value for name, value in pairs if name == "db"]
    if not named:
        named = [value.partition("/")[0] for name, value in pairs if name == "bucket"]
    return named


def wishes(values: Sequence[str]) -> list[str]:
    """Returns *values*, those of the headers X-Scope-OrgID. Raises BadRequest if they differ."""
    if len(values) > 1 and len(set(values)) > 1:
        raise BadRequest(f"more than one {TENANT}")
    return list(values)
