"""Creates users as accounts, and changes their profiles and status."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from headgate_engine import changes
from headgate_engine.audit_entry import principal_audit
from headgate_engine.errors import AdminRequiredFirst, NotPending, TooManyPending, UserNotFound
from headgate_engine.model.audit import Audit
from headgate_engine.model.principal import Principal
from headgate_engine.model.profile import Profile, check_email, check_full_name
from headgate_engine.model.user import NO_PASSWORD, User, UserStatus, check_username
from headgate_engine.stores.base import Store, Tx
from headgate_grammar import Grant, Privilege, quote_identifier

_STATUS_WORDS = {
    UserStatus.ACTIVE: "enabled",
    UserStatus.DISABLED: "disabled",
    UserStatus.PENDING: "pending",
}


@dataclass(frozen=True, slots=True)
class NewUser:
    """A user to be created. *hash* is the hash of the password; NO_PASSWORD: no password."""

    name: str
    hash: str = field(default=NO_PASSWORD, repr=False)
    admin: bool = False
    grants: Mapping[str, Privilege] = field(default_factory=dict)
    profile: Profile = Profile()


class Accounts:
    """The accounts in the user store *store*. Thread-safe; methods block on the disk.

    Methods take the principal that asks for a change and the client's address, for the audit log.
    With *keep_last_admin* the only administrator can not be disabled.
    """

    def __init__(self, store: Store, *, keep_last_admin: bool) -> None:
        self._store = store
        self._keep_last_admin = keep_last_admin

    def create(self, principal: Principal, new: NewUser, address: str = "") -> User:
        """Creates the user *new* with grants and profile, in one transaction. Returns the user.

        Raises UserExists, UsernameRequired, UsernameTooLong, InvalidName, DatabaseNotFound,
        BadProfile.
        """
        check_username(new.name)
        _check_profile(new.profile)
        name = quote_identifier(new.name)
        password = "-- no password" if new.hash == NO_PASSWORD else "WITH PASSWORD [REDACTED]"
        admin = " WITH ALL PRIVILEGES" if new.admin else ""
        grants = [Grant(privilege, on, new.name) for on, privilege in new.grants.items()]
        texts = [*map(str, grants), f"CREATE USER {name} {password}{admin}"]

        def change(tx: Tx) -> None:
            changes.create_user(tx, new.name, new.hash, new.admin)
            user = tx.user(new.name)
            assert user is not None
            for on, privilege in new.grants.items():
                changes.grant(tx, new.name, on, privilege)
            tx.put_profile(user, replace(new.profile, updated_at=int(time.time())))

        text = "; ".join(reversed(texts))
        self._store.transact(change, principal_audit(principal, address, text))
        found = self._store.user(new.name)
        if found is None:
            raise UserNotFound  # dropped meanwhile
        return found

    def sign_up(
        self, new: NewUser, address: str = "", *, pending: bool, max_pending: int = 0
    ) -> User:
        """Creates the user *new* for a client without a login. Returns the user.

        With *pending* the user waits for an administrator's approval, without rights. At most
        *max_pending* users wait. Raises what `create` raises, AdminRequiredFirst while there are
        no users, and TooManyPending.
        """
        check_username(new.name)
        _check_profile(new.profile)
        name = quote_identifier(new.name)

        def change(tx: Tx) -> None:
            if tx.empty():
                raise AdminRequiredFirst
            changes.create_user(tx, new.name, new.hash, admin=False)
            if pending and len(tx.pending_users()) >= max_pending:
                raise TooManyPending
            user = tx.user(new.name)
            assert user is not None
            for on, privilege in () if pending else new.grants.items():
                if (database := tx.database(on)) is not None:
                    tx.put_grant(user, database, privilege)
            if new.admin and not pending:
                tx.put_user(user, hash=user.hash, admin=True)
            if pending:
                tx.put_status(user, UserStatus.PENDING)
            tx.put_profile(user, replace(new.profile, updated_at=int(time.time())))

        text = f"-- sign-up {name}{', pending' if pending else ''}"
        self._store.transact(change, Audit(new.name, address, text))
        found = self._store.user(new.name)
        if found is None:
            raise UserNotFound  # dropped meanwhile
        return found

    def drop_old_sign_ups(self, before: int) -> int:
        """Drops users that have waited for approval since before the Unix time *before*.

        Returns their number.
        """

        def change(tx: Tx) -> int:
            old = [user for user in tx.pending_users() if user.created_at < before]
            for user in old:
                tx.drop_user(user)
            return len(old)

        audit = Audit("", "", "-- sign-ups dropped, not approved for a month")
        return self._store.transact(change, audit)[0]

    def set_status(
        self,
        principal: Principal,
        user: User,
        status: UserStatus,
        address: str = "",
        *,
        if_pending: bool = False,
    ) -> None:
        """Sets whether *user* may log in. A disabled user's sessions end in the same transaction.

        Raises UserNotFound, LastAdmin. With *if_pending*, raises NotPending for a user that waits
        for no approval now.
        """

        def change(tx: Tx) -> None:
            stored = _same(tx, user)
            if if_pending and stored.status is not UserStatus.PENDING:
                raise NotPending
            changes.set_status(tx, user.name, status, keep_last_admin=self._keep_last_admin)

        self._write(principal, user, _STATUS_WORDS[status], change, address)

    def profile(self, user: User) -> Profile:
        """Returns the profile of *user*."""
        return self._store.profiles([user.id]).get(user.id, Profile())

    def change_profile(
        self,
        principal: Principal,
        user: User,
        change: Callable[[Profile], Profile],
        address: str = "",
    ) -> None:
        """Replaces the profile of *user* by the result of *change*.

        The audit record has no e-mail address. Raises UserNotFound, BadProfile.
        """

        def write(tx: Tx) -> None:
            stored = tx.profile(_same(tx, user))
            profile = change(stored)
            _check_profile(profile)
            if profile != stored:
                tx.put_profile(user, replace(profile, updated_at=int(time.time())))

        self._write(principal, user, "profile", write, address)

    def _write(
        self,
        principal: Principal,
        user: User,
        words: str,
        change: Callable[[Tx], None],
        address: str,
    ) -> None:
        statement = f"-- account {quote_identifier(user.name)}: {words}"
        self._store.transact(change, principal_audit(principal, address, statement))


def _same(tx: Tx, user: User) -> User:
    """Returns *user* as stored now. Raises UserNotFound if another user has the name now."""
    stored = tx.user(user.name)
    if stored is None or stored.id != user.id:
        raise UserNotFound
    return stored


def _check_profile(profile: Profile) -> None:
    check_email(profile.email)
    check_full_name(profile.full_name)
