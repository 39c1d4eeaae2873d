"""What the endpoints share: the engine, the way in, and the threads. Made once per process."""

from collections.abc import Callable
from typing import TypeVar

from starlette.requests import Request

from headgate_engine import Engine, Passwords, Principal, SqliteStore
from headgate_server.form import pairs
from headgate_server.login import Login
from headgate_server.pool import Pool
from headgate_server.settings import Settings

T = TypeVar("T")

# bcrypt does a dozen a second on a core: who stands behind 64 others is better told to come again.
_BCRYPT_QUEUE = 64
_STATEMENT_THREADS = 4
_STATEMENT_QUEUE = 1024


class Service:
    """Opens the store of *settings*, for the process that calls it. Raises StoreError."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = SqliteStore(settings.store_path)
        self.engine = Engine(
            self.store,
            Passwords(settings.bcrypt_cost),
            keep_last_admin=settings.keep_last_admin and settings.auth_enabled,
        )
        self._bcrypt = Pool(1, _BCRYPT_QUEUE)
        self._statements = Pool(_STATEMENT_THREADS, _STATEMENT_QUEUE)
        self._login = Login(
            self.engine, self._bcrypt, settings.shared_secret, enabled=settings.auth_enabled
        )

    async def login(self, request: Request) -> Principal:
        """Whom *request* proves. Raises Unauthenticated, AuthenticationFailed, Overloaded."""
        url = pairs(request.scope["query_string"])
        return await self._login(url, request.headers.get("authorization", ""))

    async def run(self, work: Callable[[], T]) -> T:
        """What *work* gives, done where it holds up nobody else. Raises Overloaded."""
        return await self._statements.run(work)

    def close(self) -> None:
        self._bcrypt.close()
        self._statements.close()
        self.store.close()
