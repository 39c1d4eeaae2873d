"""Declared users, grants and databases: which statements make a user store match them.

`headgate init`, `apply` and `import` use it: they declare a state, show the plan, and apply it in
one transaction.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from headgate_engine import changes
from headgate_engine.audit_entry import principal_audit
from headgate_engine.engine import Engine
from headgate_engine.errors import (
    BadPassword,
    DatabaseNotFound,
    InvalidName,
    NameTooLong,
    PolicyError,
    StatementError,
    UsernameRequired,
    UsernameTooLong,
)
from headgate_engine.model.database import Database, check_name
from headgate_engine.model.principal import UNRESTRICTED, Principal
from headgate_engine.model.retention_policy import RetentionPolicy, retention_policy
from headgate_engine.model.user import User, check_username
from headgate_engine.passwords import Passwords, check_hash, same_password
from headgate_engine.statement_changes import statement_change
from headgate_engine.stores.base import Store, Tx
from headgate_grammar import (
    AlterRetentionPolicy,
    CreateDatabase,
    CreateRetentionPolicy,
    CreateUser,
    DropDatabase,
    DropUser,
    Grant,
    GrantAdmin,
    PolicyOptions,
    Privilege,
    Revoke,
    RevokeAdmin,
    SetPassword,
    Statement,
)

# The text in the audit record lists at most this many statements.
_MAX_AUDITED_STATEMENTS = 100
_PAGE_SIZE = 1000
_DECLARATION_ERRORS = (
    BadPassword,
    InvalidName,
    NameTooLong,
    PolicyError,
    UsernameRequired,
    UsernameTooLong,
)


@dataclass(frozen=True, slots=True)
class DeclaredDatabase:
    """A database that must exist.

    *policy* is its default retention policy; None accepts any. *policies* are all retention
    policies that it must have, with or without the default.
    """

    name: str
    policy: RetentionPolicy | None = None
    policies: Sequence[RetentionPolicy] = ()


@dataclass(frozen=True, slots=True)
class DeclaredUser:
    """A user that must exist.

    *password* or *hash*, a bcrypt hash, is the user's password. Without both, an existing user
    keeps the password. *admin* None keeps the admin flag. *grants* maps names of databases to the
    user's privileges, and is complete: the user loses all others. None keeps the grants.
    """

    name: str
    password: str | None = field(default=None, repr=False)
    hash: str | None = field(default=None, repr=False)
    admin: bool | None = None
    grants: Mapping[str, Privilege] | None = None


@dataclass(frozen=True, slots=True)
class DeclaredState:
    """Users and databases that must exist. Others may exist, too.

    None in place of the databases or users says nothing about them: pruning drops none.
    """

    databases: Sequence[DeclaredDatabase] | None = None
    users: Sequence[DeclaredUser] | None = None


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """A change that a declared state requires: *statement* for people, *change* for the store.

    `str(statement)` hides passwords. It is a text where InfluxQL has no such statement.
    """

    statement: Statement | str
    change: Callable[[Tx], Any] = field(repr=False)


def plan_changes(
    engine: Engine, declared: DeclaredState, *, prune: bool = False
) -> list[PlannedChange]:
    """Returns the changes, in order, that make the user store match *declared*. Writes nothing.

    With *prune*, other users and databases than the declared ones are dropped. Runs bcrypt once for
    each declared password.

    Raises:
        StatementError: a name, password, hash or policy in *declared* is invalid or in conflict.
        ValueError: a new user has no password, or pruning would drop all administrators.
        StoreUnavailable: the store could not be read.
    """
    store = engine.store
    plan = list(_plan_databases(store, declared))
    known = {one.name for one in declared.databases or ()}
    if not prune or declared.databases is None:
        known |= {one.name for one in store.databases()}
    gains: list[PlannedChange] = []
    losses: list[PlannedChange] = []
    for user in declared.users or ():
        for planned in _plan_user(engine, user, known):
            demotion = isinstance(planned.statement, RevokeAdmin)
            (losses if demotion else gains).append(planned)
    plan += gains
    if prune:
        losses += _plan_drops(engine, declared)
    return plan + losses  # the last administrator may lose the flag only after another has it


class _Undo(Exception):
    """Undoes the transaction of a dry run."""


def apply_changes(
    engine: Engine,
    plan: Sequence[PlannedChange],
    *,
    author: Principal = UNRESTRICTED,
    address: str = "",
    dry_run: bool = False,
    require: Callable[[Tx], bool] = lambda tx: True,
) -> bool:
    """Makes all changes of *plan* in one transaction, with one audit record. None or all are made.

    The audit record has *author* and *address*, the author's address. With *dry_run*,
    the transaction is undone. Returns whether *require* is true of the transaction before the
    changes; if not, none is made.

    Raises:
        StatementError: the store has changed since the plan was made; nothing was done.
        StoreUnavailable: the store could not write; nothing was done.
        OutcomeUnknown: the write was interrupted; the changes may have been made.
    """
    texts = [str(one.statement) for one in plan[:_MAX_AUDITED_STATEMENTS]]
    if len(plan) > len(texts):
        texts.append(f"-- and {len(plan) - len(texts)} more changes")

    def change(tx: Tx) -> bool:
        if not require(tx):
            return False
        for one in plan:
            one.change(tx)
        if dry_run:
            raise _Undo
        return True

    with suppress(_Undo):
        return engine.store.transact(change, principal_audit(author, address, "; ".join(texts)))[0]
    return True


def check_no_drops(plan: Iterable[PlannedChange]) -> None:
    """Raises ValueError if *plan* drops a database.

    Call it if an upstream store may have the data of databases: a plan changes no upstream store.
    """
    for change in plan:
        if isinstance(change.statement, DropDatabase):
            name = change.statement.name
            raise ValueError(
                f"database {name}: an upstream store may have its data: use DROP DATABASE"
            )


def check_database(database: DeclaredDatabase) -> None:
    """Raises StatementError if InfluxDB rejects the name or a policy of *database*."""
    check_name(database.name)
    for policy in (database.policy or RetentionPolicy(), *database.policies):
        check_name(policy.name)
        retention_policy(_policy_options(policy))


def check_user(user: DeclaredUser) -> None:
    """Raises StatementError if the name or the hash of *user* is invalid."""
    check_username(user.name)
    if user.hash is not None:
        check_hash(user.hash)


def _plan_databases(store: Store, declared: DeclaredState) -> Iterator[PlannedChange]:
    for database in declared.databases or ():
        with _naming(f"database {database.name}"):
            check_database(database)
        default = database.policy
        policies = list(database.policies)
        if default is not None and default.name not in [policy.name for policy in policies]:
            policies.insert(0, default)
        existing = store.database(database.name)
        if existing is None:
            first = policies[0] if policies else RetentionPolicy()
            yield _planned(CreateDatabase(database.name, _policy_options(first)))
            existing = Database("", database.name, (first,), first.name)
        for policy in policies:
            is_default = default is not None and default.name == policy.name
            yield from _plan_policy(existing, policy, default=is_default)


def _plan_policy(
    database: Database, policy: RetentionPolicy, *, default: bool
) -> Iterator[PlannedChange]:
    """Yields the change that *database* needs to have *policy*, as its default with *default*."""
    existing = database.policy(policy.name)
    default = default and database.default_policy != policy.name
    options = (policy.duration, policy.replication, policy.shard_duration, default)
    limits = (policy.future_limit, policy.past_limit)
    if existing is None:
        yield _planned(CreateRetentionPolicy(policy.name, database.name, *options, *limits))
    elif existing != policy or default:
        before = (existing.future_limit, existing.past_limit)
        changed = [new if new != old else None for new, old in zip(limits, before, strict=True)]
        yield _planned(AlterRetentionPolicy(policy.name, database.name, *options, *changed))


def _planned(statement: Statement) -> PlannedChange:
    """Returns *statement*, which needs no bcrypt, with its change."""
    change = statement_change(statement, keep_last_admin=False)
    assert change is not None
    return PlannedChange(statement, change)


@contextmanager
def _naming(what: str) -> Iterator[None]:
    """Adds *what*, the declared thing, to the text of an error in its declaration."""
    try:
        yield
    except _DECLARATION_ERRORS as error:
        raise StatementError(f"{what}: {error}") from None


def _policy_options(policy: RetentionPolicy) -> PolicyOptions | None:
    if policy == RetentionPolicy():
        return None
    return PolicyOptions(
        *(policy.duration, policy.replication, policy.shard_duration, policy.name),
        *(policy.future_limit, policy.past_limit),
    )


def _plan_user(
    engine: Engine, declared: DeclaredUser, databases: set[str]
) -> Iterator[PlannedChange]:
    """Yields the changes that one declared user requires. *databases* exist or will exist."""
    name, passwords, keep_last_admin = declared.name, engine.passwords, engine.keep_last_admin
    with _naming(f"user {name}"):
        check_user(declared)
    existing = engine.user(name)
    if existing is None:
        with _naming(f"user {name}"):
            hash = _hash(declared, passwords)
        if hash is None:
            raise ValueError(f"user {name} does not exist yet: it needs a password or its hash")
        admin = bool(declared.admin)
        create = partial(changes.create_user, name=name, hash=hash, admin=admin)
        yield PlannedChange(CreateUser(name, "", admin), create)
    else:
        if not _has_password(existing, declared, passwords):
            with _naming(f"user {name}"):
                hash = _hash(declared, passwords)
            assert hash is not None
            yield PlannedChange(
                SetPassword(name, ""), partial(changes.set_hash, name=name, hash=hash)
            )
        if declared.admin and not existing.admin:
            yield PlannedChange(GrantAdmin(name), partial(changes.grant_admin, name=name))
        if declared.admin is False and existing.admin:
            revoke = partial(changes.revoke_admin, name=name, keep_last_admin=keep_last_admin)
            yield PlannedChange(RevokeAdmin(name), revoke)
    if declared.grants is not None:
        held = existing.grants if existing is not None else {}
        yield from _plan_grants(name, held, declared.grants, databases)


def _plan_grants(
    user: str,
    held: Mapping[str, Privilege],
    declared: Mapping[str, Privilege],
    databases: set[str],
) -> Iterator[PlannedChange]:
    for database, privilege in declared.items():
        if database not in databases:
            raise DatabaseNotFound(database)
        if held.get(database) == privilege:
            continue
        # A privilege of a later GRANT replaces an earlier one. NONE is a grant without a privilege.
        put = partial(changes.grant, name=user, database=database, privilege=privilege)
        shown = (
            Grant(privilege, database, user) if privilege else Revoke(Privilege.ALL, database, user)
        )
        yield PlannedChange(shown, put)
    for database, privilege in held.items():
        if database not in declared and privilege:
            put = partial(changes.grant, name=user, database=database, privilege=Privilege.NONE)
            yield PlannedChange(Revoke(Privilege.ALL, database, user), put)


def _plan_drops(engine: Engine, declared: DeclaredState) -> Iterator[PlannedChange]:
    store, keep_last_admin = engine.store, engine.keep_last_admin
    if declared.users is not None:
        users = {one.name for one in declared.users}
        _check_admin_stays(store, declared.users)
        after = ""
        while page := store.users(after, _PAGE_SIZE):
            for account in page:
                if account.name not in users:
                    drop = partial(
                        changes.drop_user, name=account.name, keep_last_admin=keep_last_admin
                    )
                    yield PlannedChange(DropUser(account.name), drop)
            after = page[-1].id
    databases = {one.name for one in declared.databases or ()}
    for database in store.databases() if declared.databases is not None else ():
        if database.name not in databases:
            drop = partial(changes.drop_database, name=database.name)
            yield PlannedChange(DropDatabase(database.name), drop)


def _check_admin_stays(store: Store, users: Sequence[DeclaredUser]) -> None:
    """Raises ValueError if the store has administrators, and none of *users* is one."""
    for declared in users:
        existing = store.user(declared.name) if declared.admin is None else None
        if declared.admin or (existing is not None and existing.admin):
            return
    if store.admin_count():
        raise ValueError("no administrator would remain: declare a user with admin = true")


def _has_password(existing: User, declared: DeclaredUser, passwords: Passwords) -> bool:
    """Returns whether *existing* has the declared password, or none is declared."""
    if declared.hash is not None:
        return same_password(existing.hash, declared.hash)
    return declared.password is None or passwords.verify(existing, declared.password)


def _hash(declared: DeclaredUser, passwords: Passwords) -> str | None:
    if declared.hash is not None or declared.password is None:
        return declared.hash
    return passwords.hash(declared.password)
