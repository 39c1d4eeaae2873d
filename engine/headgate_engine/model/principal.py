"""The principal: the author of a request, with the rights that count for it."""

from dataclasses import dataclass

from headgate_engine.model.api_key import ApiKey, KeyScope
from headgate_engine.model.session import Session
from headgate_engine.model.token_rights import TokenRights
from headgate_engine.model.user import Identity, User


@dataclass(frozen=True, slots=True)
class Principal:
    """The author of a request: an authenticated user, UNRESTRICTED or ANONYMOUS.

    While authentication is off, requests have UNRESTRICTED, which may do everything. While the
    store is empty, requests have ANONYMOUS, which may only create the first administrator.

    *method* is the authentication method. *identity* is the account in the token, if any.
    *transient_rights* replace the user's stored grants for this request (see
    `Engine.with_transient_grants`). If *transient* is True, the user is not in the store: its
    privileges come from a token and last for one request. *key* is the API key of the request: then
    *user* has only the rights that the key includes. *session* is the session of its cookie.
    *expires_at* is when the login's token ends, in Unix seconds; 0 for a login without an end.
    *scope* bounds the rights of *user*, as that of a key does.
    """

    user: User | None = None
    method: str = ""
    unrestricted: bool = False
    identity: Identity | None = None
    transient_rights: TokenRights | None = None
    transient: bool = False
    key: ApiKey | None = None
    session: Session | None = None
    expires_at: int = 0
    scope: KeyScope | None = None

    @property
    def has_full_access(self) -> bool:
        """Whether everything is allowed: authentication is off, or the user is an administrator."""
        return self.unrestricted or (self.user is not None and self.user.admin)

    @property
    def name(self) -> str:
        """The name of the user, or "" without a user."""
        return self.user.name if self.user is not None else ""

    @property
    def login(self) -> str:
        """How the user logged in, for logs: the method, or the id of the key or session."""
        if self.key is not None:
            return f"key {self.key.id}"
        return f"session {self.session.id}" if self.session is not None else self.method


UNRESTRICTED = Principal(unrestricted=True)
ANONYMOUS = Principal()
