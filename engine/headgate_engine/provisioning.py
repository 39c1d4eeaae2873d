"""Just-in-time provisioning: creates and updates users from the identity in a token.

The caller verifies the token. This module turns it into a user, grants and the admin flag.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal

from headgate_engine.errors import IdentityDropped, IdentityTaken, SignUpDisabled
from headgate_engine.model.token_rights import Rights
from headgate_engine.model.user import Identity, User
from headgate_engine.stores.base import Audit, Store, Tx
from headgate_grammar import Grant, GrantAdmin, Privilege, Revoke, RevokeAdmin, quote_identifier

# In place of a hash: no password matches it, and `Passwords.verify` still takes a bcrypt.
NO_PASSWORD = "*no password*"

Adopt = Literal["none", "non_admin", "any"]


@dataclass(frozen=True, slots=True)
class Door:
    """Policy for the first login of an identity.

    *sign_up*: create a user. *adopt*: link the identity to a local user of its name that no other
    identity is linked to. *keep_last_admin*: the only administrator keeps the admin flag.
    """

    sign_up: bool = False
    adopt: Adopt = "none"
    keep_last_admin: bool = True


def recognize(
    store: Store, identity: Identity, rights: Rights | None, *, keep_last_admin: bool
) -> User | None:
    """Returns the user of *identity* if *rights* require no change, else None.

    Raises IdentityDropped if the token may be older than the drop of its user.
    """
    user = _identified(store, identity)
    if user is None or rights is None:
        return user
    steps = _steps(user, rights, _names(store))
    # Otherwise each request of the last administrator would take the store's write lock.
    stays = keep_last_admin and steps == [RevokeAdmin(user.name)] and store.admins() == 1
    return user if stays or not steps else None


def _identified(reader: Store | Tx, identity: Identity) -> User | None:
    """Returns the user of *identity*, or None. Raises IdentityDropped for a token older than the
    drop.
    """
    user = reader.identified(identity.issuer, identity.subject)
    # Read second, so that a user created after the drop is rejected, too.
    dropped = reader.dropped(identity.issuer, identity.subject)
    if dropped is not None and (identity.issued is None or identity.issued <= dropped):
        raise IdentityDropped
    return user


def _names(store: Store) -> list[str]:
    return [database.name for database in store.databases()]


def sign_in(
    store: Store, identity: Identity, rights: Rights | None, door: Door, address: str
) -> User:
    """Returns the user of *identity*, with exactly *rights* from now on (None: as stored).

    Writes only if something changes, in one transaction with its audit record. Raises
    SignUpDisabled, IdentityTaken or IdentityDropped, as `Engine.sign_in` does.
    """
    user = _identified(store, identity)
    databases = _names(store)
    if user is not None and not _steps(user, rights, databases):
        return user
    # These are the expected steps, for the audit; the transaction computes them again.
    expected = user or store.user(identity.name)
    steps = _steps(expected, rights, databases, identity.name)
    if door.keep_last_admin and store.admins() == 1:
        steps = [step for step in steps if not isinstance(step, RevokeAdmin)]
        if user is not None and not steps:
            return user
    said = [] if user is not None else [_entry(identity, expected)]
    said += [str(step) for step in steps]
    audit = Audit(identity.actor, address, "; ".join(said))
    change = partial(_sign_in, identity=identity, rights=rights, door=door, databases=databases)
    store.transact(change, audit)
    # By the identity: another user may have the name by now.
    return store.identified(identity.issuer, identity.subject) or _gone()


class _Preview(Exception):
    """Aborts a transaction, so that nothing of it is written."""

    def __init__(self, user: User | None) -> None:
        super().__init__()
        self.user = user


def preview(store: Store, identity: Identity, rights: Rights | None, door: Door) -> User:
    """Returns the user that `sign_in` would return; changes nothing.

    Raises SignUpDisabled, IdentityTaken or IdentityDropped, as `sign_in` does.
    """
    databases = _names(store)

    def change(tx: Tx) -> None:
        raise _Preview(tx.user(_sign_in(tx, identity, rights, door, databases)))

    try:
        store.transact(change, Audit(identity.actor, "", ""))
    except _Preview as found:
        return found.user or _gone()
    return _gone()


def _gone() -> User:
    raise SignUpDisabled  # the user was dropped during the call


def _entry(identity: Identity, existing: User | None) -> str:
    name = quote_identifier(identity.name)
    return f"CREATE USER {name} -- no password" if existing is None else f"-- linked to {name}"


def _sign_in(
    tx: Tx, identity: Identity, rights: Rights | None, door: Door, databases: list[str]
) -> str:
    user = _identified(tx, identity) or _come_in(tx, identity, door)
    for step in _steps(user, rights, databases):
        match step:
            case Grant(privilege, on, _) | Revoke(privilege, on, _):
                database = tx.database(on)
                if database is not None:
                    left = privilege if isinstance(step, Grant) else Privilege.NONE
                    tx.put_grant(user, database, left)
            case GrantAdmin():
                tx.put_user(user, hash=user.hash, admin=True)
            case RevokeAdmin() if not (door.keep_last_admin and tx.admins() == 1):
                tx.put_user(user, hash=user.hash, admin=False)
    return user.name


def _come_in(tx: Tx, identity: Identity, door: Door) -> User:
    """Returns the user that *identity* is linked to from now on, created if needed."""
    user = tx.user(identity.name)
    if user is None:
        if not door.sign_up:
            raise SignUpDisabled
        tx.add_user(identity.name, NO_PASSWORD, False)
        user = tx.user(identity.name)
        assert user is not None
    elif tx.bound(user) or door.adopt == "none" or (user.admin and door.adopt != "any"):
        raise IdentityTaken
    tx.bind(user, identity.issuer, identity.subject)
    return user


_Step = Grant | Revoke | GrantAdmin | RevokeAdmin


def _steps(
    user: User | None, rights: Rights | None, databases: list[str], new: str = ""
) -> list[_Step]:
    """Returns the statements after which *user* (None: a *new* one) has exactly *rights*."""
    if rights is None:
        return []
    name = user.name if user is not None else new
    has = user.grants if user is not None else {}
    wanted = rights.on(databases)
    steps: list[_Step] = [
        Grant(privilege, database, name)
        for database, privilege in wanted.items()
        if has.get(database, Privilege.NONE) != privilege
    ]
    steps += [
        Revoke(privilege, database, name)
        for database, privilege in has.items()
        if privilege and database not in wanted
    ]
    admin = user.admin if user is not None else False
    if rights.admin is not None and rights.admin != admin:
        steps.append(GrantAdmin(name) if rights.admin else RevokeAdmin(name))
    return steps
