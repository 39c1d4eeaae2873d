"""Imports databases that exist upstream into the catalog when a statement first refers to them."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial

from headgate_engine import EVERYBODY, Engine, Principal, needs
from headgate_grammar import CreateDatabase, Grant, Revoke, ShowDatabases, Statement
from headgate_server.background.thread_pool import Run

ADDRESS = "upstream"  # the client's address in the audit records of imports


@dataclass(frozen=True, slots=True)
class Synced:
    """The result of `Catalogue.sync`: databases imported now, and those missing upstream."""

    adopted: list[str]
    missing: list[str]


class Catalogue:
    """The catalog of databases in front of one upstream.

    *listed* returns the upstream's databases, *run* runs blocking work in a thread; the methods
    raise what these raise.
    """

    def __init__(
        self, engine: Engine, listed: Callable[[], Awaitable[list[str]]], run: Run
    ) -> None:
        self._engine = engine
        self._listed = listed
        self._run = run

    async def meant(self, principal: Principal, statements: Iterable[Statement], on: str) -> bool:
        """Imports the databases that *statements* refer to, if *principal* is unrestricted.

        *on* is the request's database. Returns whether the upstream's databases were listed. Other
        users cannot have a privilege on a database outside the catalog.
        """
        if not principal.unrestricted:
            return False
        listing = any(isinstance(statement, ShowDatabases) for statement in statements)
        names = {name for statement in statements for name in _meant(statement, on)}
        if listing or self.unknown(names):
            await self.adopt(None if listing else names)
            return True
        return False

    def unknown(self, names: Iterable[str]) -> list[str]:
        """Returns those of *names* that are not in the catalog; empty names are left out."""
        return [name for name in names if name and self._engine.store.database(name) is None]

    async def adopt(self, wanted: Iterable[str] | None = None) -> list[str]:
        """Imports the upstream's databases, or those in *wanted* only. Returns imported names."""
        there = await self._listed()
        unknown = self.unknown(there if wanted is None else [n for n in wanted if n in there])
        return await self._run(partial(self._take, unknown)) if unknown else []

    def _take(self, names: list[str]) -> list[str]:
        """Creates the databases *names* in the catalog; returns those that succeeded. Blocking."""
        return [name for name in names if not self._error(name)]

    def _error(self, name: str) -> str:
        (result,) = self._engine.execute([CreateDatabase(name)], EVERYBODY, "", ADDRESS)
        return result.error

    async def sync(self) -> Synced:
        """Imports all of the upstream's databases."""
        adopted = await self.adopt()
        there = await self._listed()
        here = [database.name for database in self._engine.store.databases()]
        return Synced(adopted, [name for name in here if name not in there])


def _meant(statement: Statement, on: str) -> list[str]:
    match statement:
        case Grant(_, database, _) | Revoke(_, database, _):
            return [database]
        case _:
            return [on, *(need.database for need in needs(statement, on) if need.database)]
