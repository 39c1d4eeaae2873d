"""From what a request shows to whom it proves."""

from headgate_engine import EVERYBODY, NOBODY, Engine, Principal, User
from headgate_server.credentials import Credentials, NamePassword, Token
from headgate_server.credentials import credentials as read_credentials
from headgate_server.form import Pairs
from headgate_server.pool import Pool
from headgate_server.refusals import Unauthenticated
from headgate_server.tokens import username


class Login:
    """Logs in by password or by token. With *enabled* false everybody may do everything."""

    def __init__(
        self, engine: Engine, pool: Pool, shared_secret: str = "", *, enabled: bool = True
    ) -> None:
        self._engine = engine
        self._pool = pool
        self._shared_secret = shared_secret
        self._enabled = enabled

    async def __call__(self, url: Pairs, authorization: str) -> Principal:
        """Whom the request proves; NOBODY while there are no users at all.

        Raises Unauthenticated, AuthenticationFailed; Overloaded if too many wait for bcrypt.
        """
        if not self._enabled:
            return EVERYBODY
        try:
            shown = read_credentials(url, authorization)
            recalled = self._recall(shown)
            if recalled is not None:
                return recalled
        except Unauthenticated:
            if self._engine.store.empty():
                return NOBODY
            raise
        if self._engine.store.empty():
            return NOBODY
        return await self._prove(shown)

    def _recall(self, shown: Credentials) -> Principal | None:
        """The short way: a password that was verified lately."""
        if not isinstance(shown, NamePassword):
            return None
        user = self._engine.recall(shown.name, shown.password)
        return Principal(user, "password") if user is not None else None

    async def _prove(self, shown: Credentials) -> Principal:
        match shown:
            case NamePassword(name, password):
                user = await self._pool.run(self._engine.authenticate, name, password)
                return Principal(user, "password")
            case Token(text):
                return Principal(self._bearer(text), "shared-secret")

    def _bearer(self, token: str) -> User:
        user = self._engine.user(username(token, self._shared_secret))
        if user is None:
            raise Unauthenticated("user not found")
        return user
