"""Finds for a statement the function of changes.py that applies it to a user store."""

from collections.abc import Callable
from functools import partial
from typing import Any

from headgate_engine import changes
from headgate_engine.stores.base import Tx
from headgate_grammar import (
    AlterRetentionPolicy,
    CreateDatabase,
    CreateRetentionPolicy,
    DropDatabase,
    DropRetentionPolicy,
    DropUser,
    Grant,
    GrantAdmin,
    PolicyOptions,
    Revoke,
    RevokeAdmin,
    Statement,
)


def statement_change(statement: Statement, *, keep_last_admin: bool) -> Callable[[Tx], Any] | None:
    """Returns the function that makes the change of *statement* in a transaction.

    Returns None if *statement* changes nothing in the user store, and for CREATE USER and SET
    PASSWORD, which need bcrypt. With *keep_last_admin* the function raises LastAdmin as
    `changes.drop_user` does.
    """
    match statement:
        case DropUser(name):
            return partial(changes.drop_user, name=name, keep_last_admin=keep_last_admin)
        case Grant(privilege, on, user):
            return partial(changes.grant, name=user, database=on, privilege=privilege)
        case Revoke(privilege, on, user):
            return partial(changes.revoke, name=user, database=on, privilege=privilege)
        case GrantAdmin(user):
            return partial(changes.grant_admin, name=user)
        case RevokeAdmin(user):
            return partial(changes.revoke_admin, name=user, keep_last_admin=keep_last_admin)
        case CreateDatabase(name, options):
            return partial(changes.create_database, name=name, options=options)
        case DropDatabase(name):
            return partial(changes.drop_database, name=name)
        case CreateRetentionPolicy(name, on, duration, replication, shard_duration, default):
            limits = (statement.future_limit, statement.past_limit)
            options = PolicyOptions(duration, replication, shard_duration, name, *limits)
            return partial(changes.create_policy, database=on, options=options, default=default)
        case AlterRetentionPolicy():
            return partial(changes.alter_policy, statement=statement)
        case DropRetentionPolicy(name, on):
            return partial(changes.drop_policy, database=on, name=name)
    return None
