"""Authenticates users by password, and by the identity in a token."""

from dataclasses import replace
from functools import partial

from headgate_engine import changes
from headgate_engine.accounts.api_keys import ApiKeys
from headgate_engine.accounts.sessions import Sessions
from headgate_engine.audit_entry import audit_entry
from headgate_engine.errors import AuthenticationFailed, OutcomeUnknown, StoreUnavailable
from headgate_engine.linking import LinkPolicy, ProvisioningPolicy
from headgate_engine.model.audit import Audit
from headgate_engine.model.principal import Principal
from headgate_engine.model.token_rights import TokenRights
from headgate_engine.model.user import Identity, User, is_encodable
from headgate_engine.passwords import Passwords, same_password_version
from headgate_engine.provisioning import find_provisioned, provision, provision_dry_run
from headgate_engine.stores.base import Store
from headgate_grammar import SetPassword


class Authentication:
    """Base class of `Engine`: the methods by which clients and their users are authenticated."""

    store: Store
    passwords: Passwords
    api_keys: ApiKeys
    sessions: Sessions
    keep_last_admin: bool

    def authenticate_cached(self, name: str, password: str) -> User | None:
        """Returns the user *name* if *password* is cached as verified, else None. Runs fast."""
        user = self.active_user(name)
        return user if self.check_cached(user, password) else None

    def check_cached(self, user: User | None, password: str) -> bool:
        """Returns whether *password* is cached as verified for *user*; False if *user* is None."""
        return self.passwords.check_cached(user, password)

    def authenticate(self, name: str, password: str) -> User:
        """Returns the user *name* if *password* is correct. Runs bcrypt for an uncached password.

        Raises:
            AuthenticationFailed: unknown or disabled user, or wrong password; all take equally
                long.
        """
        user = self.active_user(name)
        if self.passwords.check_cached(user, password) and user is not None:
            return user
        if not self.passwords.verify(user, password):
            raise AuthenticationFailed
        now = self.active_user(name)  # may have been changed or dropped while bcrypt ran
        if user is None or now is None or not same_password_version(now, user):
            raise AuthenticationFailed
        return self._rehash(now, password) if self.passwords.needs_rehash(now) else now

    def _rehash(self, user: User, password: str) -> User:
        hash = self.passwords.rehash(user, password)
        audit = Audit(user.name, "", f"-- password of {user.name!r} hashed at a higher cost")
        try:
            self.store.transact(partial(changes.replace_hash, user=user, hash=hash), audit)
        except (StoreUnavailable, OutcomeUnknown):
            return user  # the next login retries
        return self.user(user.name) or user

    def change_password(self, principal: Principal, password: str, address: str = "") -> None:
        """Sets the password of *principal*. The caller has just verified the old one.

        Runs bcrypt. *address* is the client's address for the audit log. Raises BadPassword, and
        AuthenticationFailed if the user was dropped or the password changed meanwhile.
        """
        user = principal.user
        if user is None or principal.transient:
            raise AuthenticationFailed
        hash = self.passwords.hash(password)
        audit = audit_entry(principal, address, SetPassword(user.name, password))
        session = principal.session.id if principal.session is not None else ""
        change = partial(changes.change_hash, user=user, hash=hash, keep_session=session)
        self.store.transact(change, audit)
        self.passwords.cache(replace(user, hash=hash), password)

    def user(self, name: str) -> User | None:
        """Returns the user *name* as stored now, or None."""
        return self.store.user(name) if name.isascii() or is_encodable(name) else None

    def active_user(self, name: str) -> User | None:
        """Returns the user *name* if the user may log in, else None."""
        user = self.user(name)
        return user if user is not None and user.is_active else None

    def renew(self, principal: Principal) -> Principal:
        """Returns *principal* with its user read again from the store.

        A principal without a stored user is returned unchanged.

        Raises:
            AuthenticationFailed: the user was dropped or disabled, the password changed since the
                login, or the API key or session has ended.
        """
        if principal.user is None or principal.transient:
            return principal
        if principal.key is not None:
            return self.api_keys.renew(principal)
        if principal.session is not None:
            return self.sessions.renew(principal)
        now = self.active_user(principal.name)
        if now is principal.user and principal.transient_rights is None:
            return principal  # nothing has changed
        if now is None or not same_password_version(now, principal.user):
            raise AuthenticationFailed
        if principal.transient_rights is not None:
            now = self.with_transient_grants(now, principal.transient_rights)
        if principal.scope is not None:
            now = self.api_keys.restricted(now, principal.scope)
        return replace(principal, user=now)

    def find_provisioned(self, identity: Identity, rights: TokenRights | None) -> User | None:
        """Returns the user linked to *identity*, or None if `provision` would have to write.

        Raises:
            IdentityDropped: the token was perhaps issued before its user was dropped.
        """
        return find_provisioned(self.store, identity, rights, keep_last_admin=self.keep_last_admin)

    def with_transient_grants(self, user: User, rights: TokenRights) -> User:
        """Returns *user* with *rights* in place of the stored grants. Writes nothing.

        The admin flag is never added, but `rights.admin` False removes it.
        """
        grants = rights.privileges_on(database.name for database in self.store.databases())
        return replace(user, grants=grants, admin=user.admin and rights.admin is not False)

    def provision(
        self,
        identity: Identity,
        rights: TokenRights | None,
        address: str = "",
        *,
        sign_up: bool = False,
        link: LinkPolicy = "none",
        policy: ProvisioningPolicy | None = None,
        dry_run: bool = False,
    ) -> User:
        """Gives the user linked to *identity* exactly *rights*, and returns that user.

        If *rights* is None, the user keeps the stored rights. `ProvisioningPolicy` describes
        *sign_up* and *link*; *policy* replaces both. Writes only if something changes, and never
        with *dry_run*. *address* is the client's address for the audit log.

        Raises:
            SignUpDisabled: there is no user and *sign_up* is False, or the user was just dropped.
            IdentityTaken: a user with the identity's name exists, but may not be linked.
            IdentityDropped: the token was perhaps issued before its user was dropped.
        """
        policy = policy or ProvisioningPolicy(sign_up, link)
        policy = replace(policy, keep_last_admin=self.keep_last_admin)
        if dry_run:
            return provision_dry_run(self.store, identity, rights, policy)
        return provision(self.store, identity, rights, policy, address)
