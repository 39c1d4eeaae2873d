"""Users who come with somebody else's word for who they are: a token's issuer and subject.

What the token is worth is the caller's business; here it becomes a user, grants and the admin flag.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal

from headgate_engine.errors import IdentityDropped, IdentityTaken, SignUpDisabled
from headgate_engine.model.token_rights import Rights
from headgate_engine.model.user import Identity, User
from headgate_engine.stores.base import Audit, Store, Tx
from headgate_grammar import Grant, GrantAdmin, Privilege, Revoke, RevokeAdmin, quote_identifier

# In the place of a hash: no password is this user's, and bcrypt takes its time all the same.
NO_PASSWORD = "*no password*"

Adopt = Literal["none", "non_admin", "any"]


@dataclass(frozen=True, slots=True)
class Door:
    """Who may come in: somebody unknown, with *sign_up*; as a user who was made here, by *adopt*,
    if nobody else came in as him. *keep_last_admin* leaves the only administrator his flag.
    """

    sign_up: bool = False
    adopt: Adopt = "none"
    keep_last_admin: bool = True


def recognize(
    store: Store, identity: Identity, rights: Rights | None, *, keep_last_admin: bool
) -> User | None:
    """The user of *identity*, if *rights* change nothing of it; else None.

    Raises IdentityDropped.
    """
    user = _identified(store, identity)
    if user is None or rights is None:
        return user
    steps = _steps(user, rights, _names(store))
    # Else the last administrator would want the store's lock with each request.
    stays = keep_last_admin and steps == [RevokeAdmin(user.name)] and store.admins() == 1
    return user if stays or not steps else None


def _identified(reader: Store | Tx, identity: Identity) -> User | None:
    """The user of *identity*. Raises IdentityDropped for a token from before its last drop."""
    user = reader.identified(identity.issuer, identity.subject)
    # Read second: a user found above that came after the drop is refused all the same.
    dropped = reader.dropped(identity.issuer, identity.subject)
    if dropped is not None and (identity.issued is None or identity.issued <= dropped):
        raise IdentityDropped
    return user


def _names(store: Store) -> list[str]:
    return [database.name for database in store.databases()]


def sign_in(
    store: Store, identity: Identity, rights: Rights | None, door: Door, address: str
) -> User:
    """The user of *identity*, with exactly *rights* from now on (None: with what he has).

    Writes only if something changes, in one transaction with its audit record. Raises
    SignUpDisabled, IdentityTaken, IdentityDropped.
    """
    user = _identified(store, identity)
    databases = _names(store)
    if user is not None and not _steps(user, rights, databases):
        return user
    # What it will come to is for the audit; the transaction looks again.
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
    # By the identity: his name may be somebody else's by now.
    return store.identified(identity.issuer, identity.subject) or _gone()


class _Preview(Exception):
    """Ends a transaction so that nothing of it is done."""

    def __init__(self, user: User | None) -> None:
        super().__init__()
        self.user = user


def preview(store: Store, identity: Identity, rights: Rights | None, door: Door) -> User:
    """What `sign_in` would return; changes nothing.

    Raises SignUpDisabled, IdentityTaken, IdentityDropped.
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
    raise SignUpDisabled  # dropped in this very moment


def _entry(identity: Identity, existing: User | None) -> str:
    name = quote_identifier(identity.name)
    return f"CREATE USER {name} -- no password" if existing is None else f"-- comes in as {name}"


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
    """The user that *identity* is from now on."""
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
    """The statements that would give *user* (None: a *new* one) exactly *rights*."""
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
