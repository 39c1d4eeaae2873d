"""Applies the statements about users, grants and databases to a user store, one function each.

*tx* is an open transaction of the store. The rules are those of InfluxDB 1.8's package
services/meta, unless the README states a difference.
"""

import time

from headgate_engine.errors import (
    AuthenticationFailed,
    DatabaseNotFound,
    ExternalUser,
    LastAdmin,
    PolicyError,
    UserExists,
    UserNotFound,
)
from headgate_engine.model.database import Database, check_name
from headgate_engine.model.retention_policy import altered_policy, check_same, retention_policy
from headgate_engine.model.session import RevocationReason
from headgate_engine.model.user import NO_PASSWORD, User, UserStatus
from headgate_engine.passwords import same_password_version
from headgate_engine.stores.base import Tx
from headgate_grammar import AlterRetentionPolicy, PolicyOptions, Privilege


def create_user(tx: Tx, name: str, hash: str, admin: bool) -> None:
    """Adds the user *name* with the password hash *hash*. Raises UserExists."""
    if tx.user(name) is not None:
        raise UserExists
    tx.add_user(name, hash, admin)


def drop_user(tx: Tx, name: str, *, keep_last_admin: bool) -> None:
    """Drops the user *name*. Raises UserNotFound.

    With *keep_last_admin* it raises LastAdmin if the user is the only administrator.
    """
    user = _user(tx, name)
    if keep_last_admin:
        _check_not_last(tx, user)
    tx.drop_user(user)


def set_hash(
    tx: Tx, name: str, hash: str, *, keep_session: str = "", external: bool = True
) -> None:
    """Replaces the password hash of the user *name*, and ends the user's sessions.

    The session *keep_session* stays. Raises UserNotFound. Without *external*, raises ExternalUser
    for a user with an identity and no password.
    """
    user = _user(tx, name)
    if not external and user.hash == NO_PASSWORD and tx.is_linked(user):
        raise ExternalUser
    _set_hash(tx, user, hash, keep_session)


def change_hash(tx: Tx, user: User, hash: str, *, keep_session: str = "") -> None:
    """Does what `set_hash` does, if the password is still the one of *user*.

    Raises AuthenticationFailed if the user was dropped or the password changed since *user* was
    read.
    """
    _set_hash(tx, _unchanged(tx, user), hash, keep_session)


def replace_hash(tx: Tx, user: User, hash: str) -> None:
    """Stores *hash*, a hash of higher cost of the same password. Sessions stay.

    Raises AuthenticationFailed if the user was dropped or the password changed since *user* was
    read.
    """
    now = _unchanged(tx, user)
    tx.put_user(now, hash=hash, admin=now.admin)


def _unchanged(tx: Tx, user: User) -> User:
    now = tx.user(user.name)
    if now is None or not same_password_version(now, user):
        raise AuthenticationFailed
    return now


def _set_hash(tx: Tx, user: User, hash: str, keep_session: str) -> None:
    now = int(time.time())
    tx.put_user(user, hash=hash, admin=user.admin, password_changed_at=now)
    revoke_sessions(tx, user, "password", now, keep=keep_session)


def revoke_sessions(
    tx: Tx, user: User, reason: RevocationReason, now: int, *, keep: str = ""
) -> None:
    """Revokes the sessions of *user* but the session *keep*."""
    for session in tx.sessions(user):
        if not session.revoked_at and session.id != keep:
            tx.put_session(session.revoked(reason, now))


def grant_admin(tx: Tx, name: str) -> None:
    """Sets the admin flag of the user *name*. Raises UserNotFound."""
    user = _user(tx, name)
    tx.put_user(user, hash=user.hash, admin=True)


def revoke_admin(tx: Tx, name: str, *, keep_last_admin: bool) -> None:
    """Removes the admin flag of the user *name*. Grants on databases stay. Raises UserNotFound.

    With *keep_last_admin* it raises LastAdmin if the user is the only administrator.
    """
    user = _user(tx, name)
    if keep_last_admin:
        _check_not_last(tx, user)
    tx.put_user(user, hash=user.hash, admin=False)


def grant(tx: Tx, name: str, database: str, privilege: Privilege) -> None:
    """Replaces the privilege of the user *name* on *database* with *privilege*.

    Raises UserNotFound or DatabaseNotFound.
    """
    user = _user(tx, name)
    tx.put_grant(user, _database(tx, database), privilege)


def revoke(tx: Tx, name: str, database: str, privilege: Privilege) -> None:
    """Removes *privilege* from the privileges that the user *name* has on *database*.

    If no privilege is left, SHOW GRANTS lists the database with NO PRIVILEGES. This is also the
    case if the user had no privilege before.

    Raises UserNotFound or DatabaseNotFound.
    """
    user = _user(tx, name)
    left = user.grants.get(database, Privilege.NONE) & ~privilege
    tx.put_grant(user, _database(tx, database), left)


def set_status(tx: Tx, name: str, status: UserStatus, *, keep_last_admin: bool) -> None:
    """Sets whether the user *name* may log in. A disabled user's sessions end.

    Raises UserNotFound. With *keep_last_admin* it raises LastAdmin if the user is the only
    administrator.
    """
    user = _user(tx, name)
    if user.status is status:
        return
    if keep_last_admin and status is not UserStatus.ACTIVE:
        _check_not_last(tx, user)
    tx.put_status(user, status)
    if status is not UserStatus.ACTIVE:
        revoke_sessions(tx, user, "disabled", int(time.time()))


def create_database(tx: Tx, name: str, options: PolicyOptions | None) -> None:
    """Adds the database *name* with the retention policy that *options* describe.

    If *options* is None, the policy is InfluxDB's default. An existing database stays unchanged.

    Raises InvalidName or NameTooLong if InfluxDB rejects a name. Raises PolicyError if *options*
    are invalid or differ from the policy of the existing database.
    """
    check_name(name)
    if options is not None and options.name:
        check_name(options.name)
    existing = tx.database(name)
    if existing is None:
        tx.add_database(name, retention_policy(options))
    elif options is not None and not existing.policies:
        policy = retention_policy(options)
        tx.put_policies(existing, [policy], policy.name)
    elif options is not None:
        check_default(existing, options)


def drop_database(tx: Tx, name: str) -> None:
    """Drops the database *name*. Does nothing if there is no such database."""
    database = tx.database(name)
    if database is not None:
        tx.drop_database(database)


def create_policy(tx: Tx, database: str, options: PolicyOptions, *, default: bool = False) -> None:
    """Adds a retention policy to *database*. Does nothing if the database has the same policy.

    Raises InvalidName, NameTooLong, PolicyError, DatabaseNotFound.
    """
    check_name(options.name)
    policy = retention_policy(options)
    found = _database(tx, database)
    existing = found.policy(policy.name)
    if existing is None:
        name = policy.name if default else found.default_policy
        tx.put_policies(found, [*found.policies, policy], name)
    elif existing != policy:
        raise PolicyError("retention policy already exists")
    elif default and found.default_policy != policy.name:
        raise PolicyError("retention policy conflicts with an existing policy")


def alter_policy(tx: Tx, statement: AlterRetentionPolicy) -> None:
    """Changes a retention policy. Raises DatabaseNotFound, PolicyError."""
    found = _database(tx, statement.database)
    existing = found.policy(statement.name)
    if existing is None:
        raise PolicyError(f"retention policy not found: {statement.name}")
    policy = altered_policy(existing, statement)
    policies = [policy if one.name == policy.name else one for one in found.policies]
    default = policy.name if statement.default else found.default_policy
    if (tuple(policies), default) != (found.policies, found.default_policy):
        tx.put_policies(found, policies, default)


def drop_policy(tx: Tx, database: str, name: str) -> None:
    """Drops the retention policy *name* of *database*. Does nothing if either does not exist.

    As in InfluxDB, the default policy can be dropped: then the database has none.
    """
    found = tx.database(database)
    if found is not None and found.policy(name) is not None:
        left = [policy for policy in found.policies if policy.name != name]
        tx.put_policies(found, left, found.default_policy)


def check_default(database: Database, options: PolicyOptions) -> None:
    """Raises PolicyError if *options* do not match the default policy of *database*.

    A repeated CREATE DATABASE .. WITH succeeds only if they match.
    """
    check_same(database.policy(database.default_policy), options)


def _user(tx: Tx, name: str) -> User:
    user = tx.user(name)
    if user is None:
        raise UserNotFound
    return user


def _database(tx: Tx, name: str) -> Database:
    database = tx.database(name)
    if database is None:
        raise DatabaseNotFound(name)
    return database


def _check_not_last(tx: Tx, user: User) -> None:
    if user.admin and user.is_active and tx.admin_count() == 1:
        raise LastAdmin
