"""Imports the names of databases from an upstream store into the catalog in the user store.

The catalog is the list of databases that Headgate knows, on which grants are possible. A database
is imported when a statement first refers to it.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial

from headgate_engine import UNRESTRICTED, Engine, Principal, required_privileges
from headgate_grammar import CreateDatabase, Grant, Revoke, ShowDatabases, Statement
from headgate_server.background.thread_pool import Run

AUDIT_ADDRESS = "upstream"  # the client's address in the audit records of imports


@dataclass(frozen=True, slots=True)
class SyncResult:
    """The result of `Catalog.sync`.

    *imported* are the databases that `sync` has added to the catalog. *missing* are the databases
    of the catalog that the upstream store lacks.
    """

    imported: list[str]
    missing: list[str]


class Catalog:
    """Imports databases of one upstream store into the catalog, which is in the user store.

    *list_databases* returns the names of the upstream store's databases. *run* runs blocking work
    in a thread. The methods raise what *list_databases* and *run* raise.
    """

    def __init__(
        self, engine: Engine, list_databases: Callable[[], Awaitable[list[str]]], run: Run
    ) -> None:
        self._engine = engine
        self._list_databases = list_databases
        self._run = run

    async def import_referenced(
        self, principal: Principal, statements: Iterable[Statement], database: str
    ) -> bool:
        """Imports the databases that *statements* refer to, if *principal* has full access.

        *database* is the request's database. Returns whether the upstream store was asked for its
        databases. A principal without full access needs no import: such a principal has no
        privilege on a database outside the catalog.
        """
        if not principal.has_full_access:
            return False
        lists_all = any(isinstance(statement, ShowDatabases) for statement in statements)
        names = {
            name for statement in statements for name in _referenced_databases(statement, database)
        }
        if lists_all or self.unknown_names(names):
            await self.import_databases(None if lists_all else names)
            return True
        return False

    def unknown_names(self, names: Iterable[str]) -> list[str]:
        """Returns the non-empty names in *names* that the catalog lacks."""
        return [name for name in names if name and self._engine.store.database(name) is None]

    async def import_databases(self, names: Iterable[str] | None = None) -> list[str]:
        """Imports the upstream store's databases. Returns the names of the imported databases.

        If *names* is given, imports only databases that *names* contains.
        """
        upstream_names = await self._list_databases()
        unknown = self.unknown_names(
            upstream_names if names is None else [n for n in names if n in upstream_names]
        )
        return await self._run(partial(self._create_databases, unknown)) if unknown else []

    def _create_databases(self, names: list[str]) -> list[str]:
        """Creates the databases *names* in the catalog. Returns the created names. Blocking."""
        return [name for name in names if not self._creation_error(name)]

    def _creation_error(self, name: str) -> str:
        """Creates the database *name* in the catalog. Returns the error, or "". Blocking."""
        (result,) = self._engine.execute([CreateDatabase(name)], UNRESTRICTED, "", AUDIT_ADDRESS)
        return result.error

    async def sync(self) -> SyncResult:
        """Imports the upstream store's databases, and finds databases that only the catalog has."""
        imported = await self.import_databases()
        upstream_names = await self._list_databases()
        local_names = [database.name for database in self._engine.store.databases()]
        return SyncResult(imported, [name for name in local_names if name not in upstream_names])


def _referenced_databases(statement: Statement, default_database: str) -> list[str]:
    """Returns the names of the databases that *statement* refers to.

    GRANT and REVOKE on a database refer to that database only. Any other statement also refers to
    *default_database*.
    """
    match statement:
        case Grant(_, database, _) | Revoke(_, database, _):
            return [database]
        case _:
            return [
                default_database,
                *(
                    need.database
                    for need in required_privileges(statement, default_database)
                    if need.database
                ),
            ]
