"""The engine for asynchronous programs: methods that block run in threads."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import TypeVar

from headgate_engine.engine import Engine
from headgate_engine.model.principal import Principal
from headgate_engine.model.result import Results
from headgate_engine.model.user import Account, User
from headgate_grammar import Privilege

T = TypeVar("T")


class AsyncEngine:
    """The methods of *engine* as coroutines. They raise the errors of the engine's methods.

    Work with bcrypt, and reads and writes of the store, run in *executor*, or in the event loop's
    default executor. A login with a cached password needs no thread. `engine` is the engine itself.
    """

    def __init__(self, engine: Engine, executor: Executor | None = None) -> None:
        self.engine = engine
        self._executor = executor

    async def authenticate(self, name: str, password: str) -> User:
        """Returns the user *name* if *password* is correct. Raises AuthenticationFailed."""
        known = self.engine.authenticate_cached(name, password)
        if known is not None:
            return known
        return await self._run(self.engine.authenticate, name, password)

    async def allows(self, name: str, privilege: Privilege, database: str) -> bool:
        """Returns whether the user *name* has *privilege* on *database* now. Runs in no thread."""
        return self.engine.allows(name, privilege, database)

    async def query(
        self,
        text: str,
        principal: Principal,
        database: str = "",
        address: str = "",
        *,
        params: Mapping[str, object] | None = None,
    ) -> Results:
        """Parses, authorizes and executes *text*, as `Engine.query` does."""
        query = partial(self.engine.query, params=params)
        return await self._run(query, text, principal, database, address)

    async def create_user(self, name: str, password: str, *, admin: bool = False) -> None:
        """Creates the user *name*, as `Engine.create_user` does."""
        await self._run(partial(self.engine.create_user, admin=admin), name, password)

    async def drop_user(self, name: str) -> None:
        """Drops the user *name* with their grants."""
        await self._run(self.engine.drop_user, name)

    async def set_password(self, name: str, password: str) -> None:
        """Sets the password of the user *name*."""
        await self._run(self.engine.set_password, name, password)

    async def grant(self, privilege: Privilege, database: str, user: str) -> None:
        """Replaces the privilege of *user* on *database* by *privilege*."""
        await self._run(self.engine.grant, privilege, database, user)

    async def revoke(self, privilege: Privilege, database: str, user: str) -> None:
        """Removes *privilege* from the privileges of *user* on *database*."""
        await self._run(self.engine.revoke, privilege, database, user)

    async def grant_admin(self, user: str) -> None:
        """Makes *user* an administrator."""
        await self._run(self.engine.grant_admin, user)

    async def revoke_admin(self, user: str) -> None:
        """Takes the admin flag from *user*."""
        await self._run(self.engine.revoke_admin, user)

    async def create_database(self, name: str) -> None:
        """Creates the database *name*, unless it exists."""
        await self._run(self.engine.create_database, name)

    async def drop_database(self, name: str) -> None:
        """Drops the database *name* with all grants on it."""
        await self._run(self.engine.drop_database, name)

    async def users(self) -> Sequence[Account]:
        """Returns all users in order of creation."""
        return await self._run(self.engine.users)

    async def grants(self, name: str) -> Mapping[str, Privilege]:
        """Returns the privileges of the user *name* by database."""
        return await self._run(self.engine.grants, name)

    async def databases(self) -> Sequence[str]:
        """Returns the names of all databases in order of creation."""
        return await self._run(self.engine.databases)

    async def _run(self, work: Callable[..., T], *arguments: object) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, partial(work, *arguments))
