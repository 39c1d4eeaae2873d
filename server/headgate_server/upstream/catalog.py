"""Databases that are upstream already: taken into the catalogue when they are first meant."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial

from headgate_engine import EVERYBODY, Engine, Principal, needs
from headgate_grammar import CreateDatabase, Grant, Revoke, ShowDatabases, Statement
from headgate_server.background.thread_pool import Run

ADDRESS = "upstream"  # where the audit says that it comes from


@dataclass(frozen=True, slots=True)
class Synced:
    """What a look upstream came to: taken in now, and here without being there."""

    adopted: list[str]
    missing: list[str]


class Catalogue:
    """*listed* says which databases the upstream has, *run* does in a thread what may block.

    Raises what those raise.
    """

    def __init__(
        self, engine: Engine, listed: Callable[[], Awaitable[list[str]]], run: Run
    ) -> None:
        self._engine = engine
        self._listed = listed
        self._run = run

    async def meant(self, principal: Principal, statements: Iterable[Statement], on: str) -> bool:
        """Takes in what *statements* mean, if an administrator means it; *on* is the request's
        database. Whether there was something to look for.

        Nobody else can have a right on what is not in the catalogue.
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
        """Those that are not in the catalogue."""
        return [name for name in names if name and self._engine.store.database(name) is None]

    async def adopt(self, wanted: Iterable[str] | None = None) -> list[str]:
        """Takes in what is upstream, of *wanted* only, if given. What it took in."""
        there = await self._listed()
        unknown = self.unknown(there if wanted is None else [n for n in wanted if n in there])
        return await self._run(partial(self._take, unknown)) if unknown else []

    def _take(self, names: list[str]) -> list[str]:
        """Those of *names* that can be taken in, and are now."""
        return [name for name in names if not self._error(name)]

    def _error(self, name: str) -> str:
        (result,) = self._engine.execute([CreateDatabase(name)], EVERYBODY, "", ADDRESS)
        return result.error

    async def sync(self) -> Synced:
        """Takes in all that is upstream."""
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
