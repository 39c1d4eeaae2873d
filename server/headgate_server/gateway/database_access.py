"""Authorizes a request for databases, and translates databases to tenants of the upstream store.

A database is what Mimir, Loki and Pyroscope call a tenant. A request names its database in the path
(`/db/<database>/...`), the parameter `db` or the header X-Scope-OrgID. The user's grants decide
whether the request is allowed. A request that names no database is for the only database on which
the user has the required privilege.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from headgate_engine import (
    ADMIN,
    AdminRequiredFirst,
    Engine,
    Principal,
    RequiredPrivilege,
    allows,
    covers,
)
from headgate_grammar import Privilege
from headgate_server.config.gateway import UpstreamSettings
from headgate_server.config.route import Route
from headgate_server.gateway.errors import DatabaseNotFound, Forbidden
from headgate_server.http.errors import BadRequest
from headgate_server.http.go_text import go_quote, replace_invalid
from headgate_server.upstream.adapter import ProxiedAPI

_MAX_FEDERATED_DATABASES = 64
# A client may send a database's name of 8 KiB.
_MAX_CACHED_PRIVILEGES = 256

_PRIVILEGES = {"READ": Privilege.READ, "WRITE": Privilege.WRITE, "MANAGE": Privilege.ALL}


@dataclass(slots=True)
class AccessDecision:
    """The result of a successful authorization: the databases of the request.

    *tenant* names these databases in the upstream store. For most stores, *tenant* is the value of
    X-Scope-OrgID, in which `|` separates several names. For a VictoriaMetrics cluster it is the
    account; for a VictoriaMetrics single node it is "".
    """

    databases: tuple[str, ...] = ()
    tenant: str = ""


def authorize_databases(
    engine: Engine,
    principal: Principal,
    settings: UpstreamSettings,
    api: ProxiedAPI,
    route: Route,
    requested_tenants: Iterable[str],
) -> AccessDecision:
    """Authorizes *principal* for *route* on the databases in *requested_tenants*.

    Raises Forbidden if *principal* lacks the privilege of *route*. Raises AdminRequiredFirst if
    there are no users yet. Raises BadRequest for a missing, ambiguous or invalid database. Raises
    DatabaseNotFound only for a principal with full access: for other principals, a grant implies
    that the database exists.
    """
    if principal.user is None and not principal.unrestricted:
        raise AdminRequiredFirst
    requested = _requested_databases(requested_tenants)
    if route.privilege == "ADMIN" or (
        route.privilege == "MANAGE" and settings.manage_needs == "admin"
    ):
        require_privilege(principal, ADMIN)
        return _decision(api, requested)
    privilege = _PRIVILEGES[route.privilege]
    databases = requested or _default_databases(engine, principal, settings, privilege)
    if not databases:
        _require_any_database(principal, privilege)
        raise BadRequest("database is required: name it by /db/NAME in the path, or X-Scope-OrgID")
    if len(databases) > 1 and route.privilege != "READ":
        raise BadRequest("one database is required to write to")
    if len(databases) > 1 and not api.serves_several_databases:
        raise BadRequest("this store serves one database at a time")
    for database in databases:
        require_privilege(principal, _required_privilege(privilege, database))
        # A grant implies that its database exists. A principal with full access needs no grant, so
        # it can name a database that does not exist.
        if principal.has_full_access and engine.store.database(database) is None:
            raise DatabaseNotFound(f"database not found: {go_quote(database)}")
    return _decision(api, databases)


def _requested_databases(requested_tenants: Iterable[str]) -> tuple[str, ...]:
    """Returns the databases in *requested_tenants*.

    A text in *requested_tenants* is empty, or consists of names that `|` separates. Raises
    BadRequest if two texts name different databases, or if a name is invalid UTF-8.
    """
    named = [wish for wish in requested_tenants if wish]
    if not named:
        return ()
    found = {tuple(dict.fromkeys(wish.split("|"))) for wish in named}
    if len(found) > 1:
        raise BadRequest("ambiguous database: named in several ways")
    if any(replace_invalid(name) != name for names in found for name in names):
        raise BadRequest("the database's name is invalid UTF-8")
    return found.pop()


def _default_databases(
    engine: Engine, principal: Principal, settings: UpstreamSettings, privilege: Privilege
) -> tuple[str, ...]:
    """Returns the databases of a request that names no database.

    Such a request is for the only database on which *principal* has *privilege*. With the option
    `federation`, a read is for all databases on which *principal* has READ, if there are at most
    64. Returns () in all other cases.
    """
    user = principal.user
    if user is None or principal.has_full_access:
        databases = [database.name for database in engine.store.databases()]
    else:
        databases = [name for name, granted in user.grants.items() if covers(granted, privilege)]
    federated = settings.federation and privilege == Privilege.READ
    if len(databases) == 1 or (federated and len(databases) <= _MAX_FEDERATED_DATABASES):
        return tuple(databases)
    return ()


def _require_any_database(principal: Principal, privilege: Privilege) -> None:
    """Raises Forbidden if there is no database on which *principal* has *privilege*."""
    user = principal.user
    if user is None or user.admin:
        return
    granted = [name for name, its in user.grants.items() if its]
    if not any(covers(user.grants[name], privilege) for name in granted):
        raise Forbidden(
            user.name,
            RequiredPrivilege(privilege, granted[0] if len(granted) == 1 else "a database"),
        )


@lru_cache(_MAX_CACHED_PRIVILEGES)
def _required_privilege(privilege: Privilege, database: str) -> RequiredPrivilege:
    return RequiredPrivilege(privilege, database)


def require_privilege(principal: Principal, need: RequiredPrivilege) -> None:
    """Raises Forbidden if *principal* lacks the privilege *need*.

    Raises AdminRequiredFirst if there are no users yet.
    """
    user = principal.user
    if user is None and not principal.unrestricted:
        raise AdminRequiredFirst
    if user is not None and not allows(user, need):
        raise Forbidden(user.name, need)


def _decision(api: ProxiedAPI, databases: tuple[str, ...]) -> AccessDecision:
    """Returns the decision for *databases*, with their name in the upstream store.

    Raises BadRequest if they have no valid name there.
    """
    return AccessDecision(databases, api.tenant(databases))
