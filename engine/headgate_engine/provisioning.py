"""Just-in-time provisioning: creates and updates users from the identity in a token.

The caller verifies the token (a JWT). This module turns the token's claims into a user, grants and
the admin flag.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal

from headgate_engine.errors import (
    AuthenticationFailed,
    IdentityDropped,
    IdentityTaken,
    SignUpDisabled,
)
from headgate_engine.model.audit import Audit
from headgate_engine.model.token_rights import TokenRights
from headgate_engine.model.user import NO_PASSWORD, Identity, User
from headgate_engine.stores.base import Store, Tx
from headgate_grammar import Grant, GrantAdmin, Privilege, Revoke, RevokeAdmin, quote_identifier

LinkPolicy = Literal["none", "non_admin", "any"]


@dataclass(frozen=True, slots=True)
class ProvisioningPolicy:
    """Which changes of the user store a login with a token may make.

    - *sign_up*: whether to create a user if no user has the identity's name.
    - *link*: whether to link an existing user with the identity's name to the identity. `none`
      forbids it, `non_admin` allows it for users without the admin flag, `any` for all users. A
      user that already has an identity is never linked again.
    - *keep_last_admin*: the only administrator keeps the admin flag, whatever the token claims.
    """

    sign_up: bool = False
    link: LinkPolicy = "none"
    keep_last_admin: bool = True


def find_provisioned(
    store: Store, identity: Identity, rights: TokenRights | None, *, keep_last_admin: bool
) -> User | None:
    """Returns the user linked to *identity*, or None if `provision` would change something.

    Raises IdentityDropped if the token was perhaps issued before its user was dropped.
    """
    user = _find_linked(store, identity)
    if user is None or rights is None:
        return user
    steps = _required_changes(user, rights, _database_names(store))
    # `provision` would skip this step, too: the last administrator keeps the admin flag.
    stays = keep_last_admin and steps == [RevokeAdmin(user.name)] and store.admin_count() == 1
    return user if stays or not steps else None


def _find_linked(reader: Store | Tx, identity: Identity) -> User | None:
    """Returns the user linked to *identity*, or None.

    Raises IdentityDropped if a linked user was dropped, perhaps after the token was issued. Raises
    AuthenticationFailed if the user may not log in.
    """
    user = reader.user_by_identity(identity.issuer, identity.subject)
    # Read after the user. Otherwise an old token would pass if its user is dropped and created anew
    # between the two reads.
    if user is not None and not user.is_active:
        raise AuthenticationFailed
    dropped = reader.identity_dropped_at(identity.issuer, identity.subject)
    if dropped is not None and (identity.issued_at is None or identity.issued_at <= dropped):
        raise IdentityDropped
    return user


def _database_names(store: Store) -> list[str]:
    return [database.name for database in store.databases()]


def provision(
    store: Store,
    identity: Identity,
    rights: TokenRights | None,
    policy: ProvisioningPolicy,
    address: str,
) -> User:
    """Gives the user linked to *identity* exactly *rights*, and returns that user.

    If *rights* is None, the user keeps the stored rights. If no user is linked, links or creates
    one as *policy* allows. Writes only if something changes, in one transaction with the audit
    record. *address* is the client's address for that record.

    Raises SignUpDisabled, IdentityTaken or IdentityDropped, as `Engine.provision` does.
    """
    user = _find_linked(store, identity)
    databases = _database_names(store)
    if user is not None and not _required_changes(user, rights, databases):
        return user
    # The expected steps are for the audit record; the transaction computes the steps again.
    expected = user or store.user(identity.name)
    steps = _required_changes(expected, rights, databases, identity.name)
    if policy.keep_last_admin and store.admin_count() == 1:
        steps = [step for step in steps if not isinstance(step, RevokeAdmin)]
        if user is not None and not steps:
            return user
    texts = [] if user is not None else [_audit_text(identity, expected)]
    texts += [str(step) for step in steps]
    audit = Audit(identity.actor, address, "; ".join(texts))
    change = partial(
        _provision, identity=identity, rights=rights, policy=policy, databases=databases
    )
    store.transact(change, audit)
    # Read by the identity, because another user may have the name by now.
    return store.user_by_identity(identity.issuer, identity.subject) or _raise_dropped()


class _DryRunResult(Exception):
    """Aborts the transaction of a dry run; *user* is the user that `provision` would return."""

    def __init__(self, user: User | None) -> None:
        super().__init__()
        self.user = user


def provision_dry_run(
    store: Store, identity: Identity, rights: TokenRights | None, policy: ProvisioningPolicy
) -> User:
    """Returns the user that `provision` would return; changes nothing.

    Raises SignUpDisabled, IdentityTaken or IdentityDropped, as `provision` does.
    """
    databases = _database_names(store)

    def change(tx: Tx) -> None:
        raise _DryRunResult(tx.user(_provision(tx, identity, rights, policy, databases)))

    try:
        store.transact(change, Audit(identity.actor, "", ""))
    except _DryRunResult as found:
        return found.user or _raise_dropped()
    return _raise_dropped()


def _raise_dropped() -> User:
    raise SignUpDisabled  # the user was dropped during the call


def _audit_text(identity: Identity, existing: User | None) -> str:
    name = quote_identifier(identity.name)
    return f"CREATE USER {name} -- no password" if existing is None else f"-- linked to {name}"


def _provision(
    tx: Tx,
    identity: Identity,
    rights: TokenRights | None,
    policy: ProvisioningPolicy,
    databases: list[str],
) -> str:
    """Gives the user linked to *identity* exactly *rights*, and returns the user's name.

    If no user is linked yet, first links or creates one as *policy* allows. *databases* are the
    names of all databases.
    """
    user = _find_linked(tx, identity) or _link_or_create(tx, identity, policy)
    for step in _required_changes(user, rights, databases):
        match step:
            case Grant(privilege, on, _) | Revoke(privilege, on, _):
                database = tx.database(on)
                if database is not None:
                    left = privilege if isinstance(step, Grant) else Privilege.NONE
                    tx.put_grant(user, database, left)
            case GrantAdmin():
                tx.put_user(user, hash=user.hash, admin=True)
            case RevokeAdmin() if not (policy.keep_last_admin and tx.admin_count() == 1):
                tx.put_user(user, hash=user.hash, admin=False)
    return user.name


def _link_or_create(tx: Tx, identity: Identity, policy: ProvisioningPolicy) -> User:
    """Links *identity* to the user with the identity's name, and returns that user.

    Creates the user if there is none. Raises SignUpDisabled if *policy* forbids creating the user.
    Raises IdentityTaken if *policy* forbids linking the user, or if the user already has an
    identity.
    """
    user = tx.user(identity.name)
    if user is None:
        if not policy.sign_up:
            raise SignUpDisabled
        tx.add_user(identity.name, NO_PASSWORD, False)
        user = tx.user(identity.name)
        assert user is not None
    elif not user.is_active:
        raise AuthenticationFailed
    elif tx.is_linked(user) or policy.link == "none" or (user.admin and policy.link != "any"):
        raise IdentityTaken
    tx.link(user, identity.issuer, identity.subject)
    return user


_Change = Grant | Revoke | GrantAdmin | RevokeAdmin


def _required_changes(
    user: User | None, rights: TokenRights | None, databases: list[str], new_name: str = ""
) -> list[_Change]:
    """Returns the statements after which *user* has exactly *rights* on *databases*.

    *databases* are the names of all databases. Returns an empty list if *rights* is None. If *user*
    is None, the statements are for a new user *new_name*.
    """
    if rights is None:
        return []
    name = user.name if user is not None else new_name
    has = user.grants if user is not None else {}
    wanted = rights.privileges_on(databases)
    steps: list[_Change] = [
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
