"""AsyncEngine: the engine's methods as coroutines, in threads where they block."""

import asyncio
import inspect
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from headgate_engine import (
    UNRESTRICTED,
    AsyncEngine,
    AuthenticationFailed,
    Engine,
    Passwords,
    User,
    UserNotFound,
)
from headgate_engine.administration import Administration
from headgate_engine.testing import memory_engine
from headgate_grammar import Privilege


@pytest.fixture
def engine() -> Engine:
    return memory_engine()


def test_every_method_about_users_has_a_coroutine() -> None:
    public = {
        name
        for name, _ in inspect.getmembers(Administration, inspect.isfunction)
        if name[0] != "_" and name not in ("execute_statement", "user")
    }
    for name in (*public, "authenticate", "query", "allows"):
        made = getattr(AsyncEngine, name)
        assert inspect.iscoroutinefunction(made), name
        assert inspect.signature(made) == inspect.signature(getattr(Engine, name)), name


def test_a_program_of_coroutines(engine: Engine) -> None:
    async def program() -> None:
        users = AsyncEngine(engine)
        await users.create_database("a")
        await users.create_user("root", "Toor-1", admin=True)
        await users.create_user("todd", "Todd-1")
        await users.grant(Privilege.ALL, "a", "todd")
        await users.revoke(Privilege.WRITE, "a", "todd")
        assert await users.grants("todd") == {"a": Privilege.READ}
        await users.set_password("todd", "Todd-2")
        assert await users.allows("todd", Privilege.READ, "a")
        assert not await users.allows("todd", Privilege.WRITE, "a")
        await users.grant_admin("todd")
        await users.revoke_admin("todd")
        assert (await users.authenticate("todd", "Todd-2")).name == "todd"
        with pytest.raises(AuthenticationFailed):
            await users.authenticate("todd", "Todd-1")
        text = "SHOW GRANTS FOR todd"
        (result,) = await users.query(text, UNRESTRICTED)
        assert result.series[0].values == [("a", "READ")]
        await users.drop_user("todd")
        with pytest.raises(UserNotFound):
            await users.grants("todd")
        await users.drop_database("a")
        assert [user.name for user in await users.users()] == ["root"]
        assert await users.databases() == []

    asyncio.run(program())


def test_bcrypt_blocks_a_thread_and_a_cached_password_none(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.create_user("todd", "Todd-1")
    verify, threads = Passwords.verify, list[str]()

    def watched(self: Passwords, user: User | None, password: str) -> bool:
        threads.append(threading.current_thread().name)
        return verify(self, user, password)

    monkeypatch.setattr(Passwords, "verify", watched)

    async def program() -> None:
        with ThreadPoolExecutor(1, "logins") as pool:
            users = AsyncEngine(engine, pool)
            for _ in range(3):
                await users.authenticate("todd", "Todd-1")

    asyncio.run(program())
    assert threads == ["logins_0"]
