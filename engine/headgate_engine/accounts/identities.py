"""Links identities of issuers to users, and removes the links."""

from collections.abc import Collection, Sequence

from headgate_engine.audit_entry import principal_audit
from headgate_engine.errors import (
    AuthenticationFailed,
    IdentityLinked,
    IdentityNotFound,
    IssuerLinked,
    OnlyWayToSignIn,
    UserNotFound,
)
from headgate_engine.model.principal import Principal
from headgate_engine.model.user import NO_PASSWORD, LinkedIdentity, User
from headgate_engine.stores.base import Store, Tx
from headgate_grammar import quote_identifier


class Identities:
    """The identities of users in the user store *store*. Thread-safe; methods block on the disk.

    Methods that change a link take the principal that asks for it and the client's address, for
    the audit log.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def of_user(self, user: User) -> Sequence[LinkedIdentity]:
        """Returns the identities that are linked to *user*, in order of linking."""
        return self._store.identities(user.id)

    def link(
        self, principal: Principal, user: User, issuer: str, subject: str, address: str = ""
    ) -> LinkedIdentity:
        """Links the identity *subject* of *issuer* to *user*, and returns the link.

        Returns the existing link if there is one. Raises IdentityLinked if the identity is of
        another user, IssuerLinked if *user* has another identity of *issuer*, UserNotFound if the
        user was dropped, and AuthenticationFailed if the session of *principal* has ended.
        """

        def change(tx: Tx) -> None:
            stored = _stored(tx, user)
            _check_session(tx, principal)
            known = tx.user_by_identity(issuer, subject)
            if known is not None:
                if known.id != user.id:
                    raise IdentityLinked
                return
            if any(one.issuer == issuer for one in tx.identities(stored)):
                raise IssuerLinked
            tx.link(stored, issuer, subject)

        name = quote_identifier(user.name)
        text = f"-- {name} comes in as {issuer} {subject}: linked"
        self._store.transact(change, principal_audit(principal, address, text))
        for one in self._store.identities(user.id):
            if (one.issuer, one.subject) == (issuer, subject):
                return one
        raise UserNotFound  # unlinked or dropped meanwhile

    def unlink(
        self,
        principal: Principal,
        user: User,
        id: str,
        address: str = "",
        *,
        providers: Collection[str] = (),
    ) -> None:
        """Removes the identity *id* of *user*. The user's sessions of *providers* end.

        *providers* are the names of the providers with the identity's issuer. The session of
        *principal* stays. Raises IdentityNotFound, UserNotFound, and OnlyWayToSignIn if *user* is
        the user of *principal*, and has no password and no other identity.
        """
        found = next((one for one in self._store.identities(user.id) if one.id == id), None)
        if found is None:
            raise IdentityNotFound
        is_own = principal.user is not None and principal.user.id == user.id
        keep = principal.session.id if principal.session is not None else ""

        def change(tx: Tx) -> None:
            stored = _stored(tx, user)
            linked = tx.identities(stored)
            if all(one.id != id for one in linked):
                raise IdentityNotFound
            if is_own and stored.hash == NO_PASSWORD and len(linked) == 1:
                raise OnlyWayToSignIn
            tx.unlink(stored, found)
            for session in tx.sessions(stored):
                if session.provider in providers and session.id != keep:
                    tx.drop_session(session)

        name = quote_identifier(user.name)
        text = f"-- {name} comes in as {found.issuer} {found.subject}: unlinked"
        self._store.transact(change, principal_audit(principal, address, text))


def _stored(tx: Tx, user: User) -> User:
    """Returns *user* as stored now. Raises UserNotFound if another user has the name now."""
    stored = tx.user(user.name)
    if stored is None or stored.id != user.id:
        raise UserNotFound
    return stored


def _check_session(tx: Tx, principal: Principal) -> None:
    """Raises AuthenticationFailed if the session of *principal* was revoked meanwhile."""
    if principal.session is not None:
        stored = tx.session(principal.session.id)
        if stored is None or stored.revoked_at:
            raise AuthenticationFailed
