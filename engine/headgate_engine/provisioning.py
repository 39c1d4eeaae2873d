"""Just-in-time provisioning: creates and updates users from the identity in a login.

The caller verifies the login: a token, or the answer of a provider. This module turns its claims
into a user, grants and the admin flag.
"""

import time
from dataclasses import replace
from functools import partial

from headgate_engine.errors import (
    AuthenticationFailed,
    IdentityDropped,
    SignUpDisabled,
)
from headgate_engine.linking import ProvisioningPolicy, link_or_create, synced_profile
from headgate_engine.model.audit import Audit
from headgate_engine.model.profile import Profile
from headgate_engine.model.token_rights import TokenRights
from headgate_engine.model.user import Identity, User
from headgate_engine.stores.base import Store, Tx
from headgate_grammar import Grant, GrantAdmin, Privilege, Revoke, RevokeAdmin, quote_identifier


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
    # The expected steps are for the audit record; the transaction computes the steps again.
    expected = user or store.user(identity.name)
    wanted = rights if rights is not None or expected is not None else policy.first_rights
    steps = _required_changes(expected, wanted, databases, identity.name)
    if policy.keep_last_admin and store.admin_count() == 1:
        steps = [step for step in steps if not isinstance(step, RevokeAdmin)]
    new_profile = user is not None and policy.syncs_profile and _has_news(store, user, identity)
    if user is not None and not steps and not new_profile:
        return user
    texts = [] if user is not None else [_audit_text(identity, expected)]
    texts += [str(step) for step in steps]
    if new_profile and user is not None:
        texts.append(f"-- account {quote_identifier(user.name)}: profile")
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
    user = _find_linked(tx, identity)
    if user is None:
        user, is_new = link_or_create(tx, identity, policy)
        rights = policy.first_rights if is_new and rights is None else rights
    if policy.syncs_profile:
        stored = tx.profile(user)
        profile = synced_profile(stored, identity)
        if profile != stored:
            tx.put_profile(user, replace(profile, updated_at=int(time.time())))
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


def _has_news(store: Store, user: User, identity: Identity) -> bool:
    stored = store.profiles([user.id]).get(user.id, Profile())
    return synced_profile(stored, identity) != stored


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
