"""From what a request shows to whom it proves."""

from headgate_engine import EVERYBODY, NOBODY, AuthenticationFailed, Engine, Principal, User
from headgate_server.credentials import Credentials, NamePassword, Token
from headgate_server.credentials import credentials as read_credentials
from headgate_server.form import Pairs
from headgate_server.metrics import Metrics
from headgate_server.pool import Pool
from headgate_server.refusals import Overloaded, Unauthenticated
from headgate_server.tokens import username

# bcrypt does a dozen a second on a core: who stands behind 64 others is better told to come again.
_QUEUE = 64


class Login:
    """Logs in by password or by token. With *enabled* false everybody may do everything."""

    def __init__(
        self, engine: Engine, metrics: Metrics, shared_secret: str = "", *, enabled: bool = True
    ) -> None:
        self._engine = engine
        self._metrics = metrics
        self._bcrypt = Pool(1, _QUEUE, metrics.bcrypt_pending)
        self._shared_secret = shared_secret
        self._enabled = enabled

    async def __call__(self, url: Pairs, authorization: str) -> Principal:
        """Whom the request proves; NOBODY while there are no users at all.

        Raises Unauthenticated, AuthenticationFailed; Overloaded if too many wait for bcrypt.
        """
        if not self._enabled:
            return EVERYBODY
        method = "none"
        try:
            shown = read_credentials(url, authorization)
            method = shown.method
            principal = self._recall(shown) or await self._prove(shown)
        except (Unauthenticated, AuthenticationFailed):
            if method == "none" and self._engine.store.empty():
                return NOBODY
            self._metrics.authentication(method, "refused")
            raise
        except Overloaded:
            self._metrics.authentication(method, "overloaded")
            raise
        if principal != NOBODY:
            self._metrics.authentication(method, "accepted")
        return principal

    def _recall(self, shown: Credentials) -> Principal | None:
        """The short way: a password that was verified lately."""
        if not isinstance(shown, NamePassword):
            return None
        user = self._engine.recall(shown.name, shown.password)
        self._metrics.lookup("password", user is not None)
        return Principal(user, "password") if user is not None else None

    async def _prove(self, shown: Credentials) -> Principal:
        if self._engine.store.empty():
            return NOBODY
        match shown:
            case NamePassword(name, password):
                with self._metrics.bcrypt():
                    user = await self._bcrypt.run(self._engine.authenticate, name, password)
                return Principal(user, "password")
            case Token(text):
                return Principal(self._bearer(text), "shared-secret")

    def _bearer(self, token: str) -> User:
        user = self._engine.user(username(token, self._shared_secret))
        if user is None:
            raise Unauthenticated("user not found")
        return user

    def close(self) -> None:
        """Ends the thread; logins that wait for it are dropped."""
        self._bcrypt.close(0)
