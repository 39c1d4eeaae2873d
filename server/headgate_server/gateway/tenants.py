"""Authorizes a request for databases, and translates them to the store's tenants.

A database is what Mimir, Loki and Pyroscope call a tenant. The path (`/db/<database>/...`), the
parameter `db` or the header X-Scope-OrgID requests one, and the user's grants decide. Without any
of them it is the only database on which the user has the privilege.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from headgate_engine import ADMIN, AdminRequiredFirst, Engine, Need, Principal, allows
from headgate_grammar import Privilege
from headgate_server.config.gateway import (
    ACCOUNT,
    TENANTS,
    Route,
    UpstreamSettings,
    is_tenant,
)
from headgate_server.gateway.errors import DatabaseMissing, Denied
from headgate_server.http.errors import BadRequest
from headgate_server.http.go_text import go_quote, readable

_MOST_TOGETHER = 64

_PRIVILEGES = {"READ": Privilege.READ, "WRITE": Privilege.WRITE, "MANAGE": Privilege.ALL}


@dataclass(frozen=True, slots=True)
class Decision:
    """An authorized request: its *databases*, and the store's name for them together."""

    databases: tuple[str, ...] = ()
    tenant: str = ""


def decide(
    engine: Engine,
    principal: Principal,
    settings: UpstreamSettings,
    route: Route,
    wishes: Iterable[str],
) -> Decision:
    """Authorizes *principal* for *route* on the databases in *wishes*.

    Raises Denied; AdminRequiredFirst; BadRequest for a missing, ambiguous or invalid database;
    DatabaseMissing, but only for an unrestricted principal.
    """
    if principal.user is None and not principal.trusted:
        raise AdminRequiredFirst
    wished = _wished(wishes)
    if route.privilege == "ADMIN" or (
        route.privilege == "MANAGE" and settings.manage_needs == "admin"
    ):
        _check(principal, ADMIN)
        return _named(settings, wished)
    privilege = _PRIVILEGES[route.privilege]
    databases = wished or _only(engine, principal, settings, privilege)
    if not databases:
        _check_any(principal, privilege)
        raise BadRequest("database is required: name it by /db/NAME in the path, or X-Scope-OrgID")
    if len(databases) > 1 and route.privilege != "READ":
        raise BadRequest("one database is required to write to")
    if len(databases) > 1 and settings.protocol not in TENANTS:
        raise BadRequest("this store serves one database at a time")
    for database in databases:
        _check(principal, Need(privilege, database))
        # Grants are on databases that exist: only an unrestricted principal can request another.
        if principal.unrestricted and engine.store.database(database) is None:
            raise DatabaseMissing(f"database not found: {go_quote(database)}")
    return _named(settings, databases)


def _wished(wishes: Iterable[str]) -> tuple[str, ...]:
    """Returns the requested databases. Raises BadRequest if *wishes* contradict each other."""
    found = {tuple(dict.fromkeys(wish.split("|"))) for wish in wishes if wish}
    if len(found) > 1:
        raise BadRequest("ambiguous database: named in several ways")
    if any(readable(name) != name for names in found for name in names):
        raise BadRequest("the database's name is invalid UTF-8")
    return found.pop() if found else ()


def _only(
    engine: Engine, principal: Principal, settings: UpstreamSettings, privilege: Privilege
) -> tuple[str, ...]:
    """Returns the only database on which *principal* has *privilege*, else ().

    To read with `federation`, returns all of them, if they are at most 64.
    """
    user = principal.user
    if user is None or principal.unrestricted:
        his = [database.name for database in engine.store.databases()]
    else:
        his = [name for name, granted in user.grants.items() if privilege & granted == privilege]
    together = settings.federation and privilege == Privilege.READ
    if len(his) == 1 or (together and len(his) <= _MOST_TOGETHER):
        return tuple(his)
    return ()


def _check_any(principal: Principal, privilege: Privilege) -> None:
    """Raises Denied if there is no database on which *principal* has *privilege*."""
    user = principal.user
    if user is None or user.admin:
        return
    granted = [name for name, its in user.grants.items() if its]
    if not any(privilege & user.grants[name] == privilege for name in granted):
        raise Denied(user.name, Need(privilege, granted[0] if len(granted) == 1 else "a database"))


def _check(principal: Principal, need: Need) -> None:
    user = principal.user
    if user is not None and not allows(user, need):
        raise Denied(user.name, need)


def _named(settings: UpstreamSettings, databases: tuple[str, ...]) -> Decision:
    """Returns the decision for *databases* with the tenant's name. Raises BadRequest."""
    if settings.protocol == "victoriametrics":
        return Decision(databases, "".join(_account(settings, name) for name in databases[:1]))
    names = [settings.tenants.get(name, name) for name in databases]
    for name in names:
        if not is_tenant(name):
            raise BadRequest("the database's name is an invalid tenant name")
    return Decision(databases, "|".join(names))


def _account(settings: UpstreamSettings, database: str) -> str:
    """Returns `account:project` of *database* in a cluster, or "" for a single node.

    Raises BadRequest if the database has no account.
    """
    if not settings.components:
        return ""
    account = settings.tenants.get(database, "")
    if ACCOUNT.fullmatch(account) is None:
        raise BadRequest("the database has no account in this cluster")
    return account
