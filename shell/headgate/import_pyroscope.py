"""`headgate import pyroscope`: takes users and API keys from Pyroscope's `pyroscope.db`."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from headgate.configured_engine import load_settings
from headgate.flags import Commands
from headgate.pyroscope_db import PyroscopeData, PyroscopeKey, PyroscopeUser, read_pyroscope
from headgate.store_file import counted, local_address, opened, opened_or_empty, print_line
from headgate_engine import (
    NO_PASSWORD,
    BadProfile,
    DeclaredDatabase,
    DeclaredUser,
    KeyScope,
    PlannedChange,
    Profile,
    StatementError,
    Store,
    Tx,
    UserStatus,
    add_imported_key,
    apply_changes,
    check_database,
    check_user,
    is_key_text,
    scope_text,
)
from headgate_engine import changes as steps
from headgate_engine.model.profile import check_email, check_full_name
from headgate_grammar import CreateDatabase, Grant, Privilege, quote_identifier
from headgate_server import build_engine
from headgate_server.api.accounts.views import role_rights, time_text

_INTERNAL = "_internal"
_MAX_KEY_NAME_CHARS = 255


def add_pyroscope(kinds: Commands) -> None:
    """Adds the command `pyroscope` to the subparsers *kinds* of `headgate import`."""
    command = kinds.add_parser("pyroscope", help="from Pyroscope before 1.0: its pyroscope.db")
    add = command.add_argument
    add("path", metavar="FILE", help="pyroscope.db, or a copy of it")
    add("--store", metavar="PATH", help="the store file; created if missing")
    add("--config", metavar="PATH", help="the server's configuration: its store")
    add("--databases", metavar="A,B", help="of the roles; creates missing ones")
    add("--keys-owner", metavar="NAME", default="pyroscope", help="the user that gets the keys")
    add("--admin-keys", action="store_true", help="also take keys with the role Admin")
    add("--dry-run", action="store_true", help="list the changes; make none")


@dataclass(slots=True)
class _Plan:
    """The changes, and a line of text for each part that is left out."""

    store: Store
    changes: list[PlannedChange] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    refused: int = 0

    def add(self, text: object, change: Callable[[Tx], Any]) -> None:
        self.changes.append(PlannedChange(str(text), change))

    def leave_out(self, what: str, why: object, *, refused: bool = False) -> None:
        self.left_out.append(f"{what}: {why}")
        self.refused += refused


def import_pyroscope(flags: argparse.Namespace) -> int:
    """Runs `headgate import pyroscope FILE`; returns the exit status.

    The status is 1 if a user or a key has invalid data and is left out. Raises ValueError for an
    invalid file or flag, StoreError, StatementError.
    """
    settings = load_settings(flags.config, store=flags.store)
    data = read_pyroscope(flags.path)
    address = local_address()
    with opened_or_empty(settings) as planned_on:
        plan = _plan(data, planned_on, flags)
        engine = build_engine(planned_on, settings)
        apply_changes(engine, plan.changes, address=address, dry_run=True)
    if not flags.dry_run:
        with opened(settings, create=True) as store:
            apply_changes(build_engine(store, settings), plan.changes, address=address)
    for change in plan.changes:
        print_line(str(change.statement))
    for line in plan.left_out:
        print_line(f"left out: {line}", sys.stderr)
    verb = "would be made" if flags.dry_run else "made"
    total, left_out = len(plan.changes), len(plan.left_out)
    print_line(f"{settings.store_path}: {counted(total, 'change')} {verb}, {left_out} left out")
    return 1 if plan.refused else 0


def _plan(data: PyroscopeData, store: Store, flags: argparse.Namespace) -> _Plan:
    """Returns what *store* can take of *data*. Existing users and keys stay as they are."""
    plan = _Plan(store)
    databases = _databases(plan, flags.databases)
    roles = {user.role for user in data.users} | {key.role for key in data.keys}
    if not databases and roles - {"", "Admin"}:
        raise ValueError(
            "the store has no databases to give rights on: name them with --databases A,B,"
            " which creates them"
        )
    for user in data.users:
        _take_user(user, databases, plan)
    if data.keys and flags.keys_owner in {user.name for user in data.users}:
        raise ValueError(
            f"user {flags.keys_owner} is in the file: name another owner of the keys"
            " with --keys-owner"
        )
    _take_keys(data.keys, databases, plan, flags)
    return plan


def _databases(plan: _Plan, names: str | None) -> list[str]:
    """Returns the databases of roles: *names*, or all but `_internal`.

    Plans the creation of *names* that are missing. Raises ValueError for an invalid name.
    """
    there = [database.name for database in plan.store.databases()]
    if names is None:
        return [name for name in there if name != _INTERNAL]
    chosen = list(dict.fromkeys(names.split(",")))
    for name in chosen:
        if name not in there:
            try:
                check_database(DeclaredDatabase(name))
            except StatementError as error:
                raise ValueError(f"--databases {names}: {error}") from None
            plan.add(CreateDatabase(name), partial(steps.create_database, name=name, options=None))
    return chosen


def _take_user(user: PyroscopeUser, databases: Sequence[str], plan: _Plan) -> None:
    what = f"user {user.name or '(without a name)'}"
    if plan.store.user(user.name) is not None:
        plan.leave_out(what, "exists already and stays as it is")
        return
    hash = NO_PASSWORD if user.external else user.hash
    try:
        check_user(DeclaredUser(user.name, hash=None if user.external else user.hash))
    except StatementError as error:
        plan.leave_out(what, error, refused=True)
        return
    if not user.role:
        plan.leave_out(f"role of {user.name}", "it is unknown", refused=True)
    admin, privilege = role_rights(user.role or "None")
    grants = {} if admin else {name: privilege for name in databases if privilege}
    _create_user(user.name, hash, grants, plan, admin=admin)
    profile = Profile(
        _checked(user.email, check_email, what, plan),
        full_name=_checked(user.full_name, check_full_name, what, plan),
        updated_at=int(time.time()),
    )
    if profile.email or profile.full_name:
        text = f"-- account {quote_identifier(user.name)}: profile"
        plan.add(text, partial(_put_profile, name=user.name, profile=profile))
    if user.disabled:
        text = f"-- account {quote_identifier(user.name)}: disabled"
        plan.add(text, partial(_disable, name=user.name))


def _checked(value: str, check: Callable[[str], None], what: str, plan: _Plan) -> str:
    """Returns *value*, or "" if *check* rejects it, which the plan names."""
    try:
        check(value)
    except BadProfile as error:
        plan.leave_out(f"profile of {what}", error)
        return ""
    return value


def _create_user(
    name: str, hash: str, grants: Mapping[str, Privilege], plan: _Plan, *, admin: bool
) -> None:
    password = "-- no password" if hash == NO_PASSWORD else "WITH PASSWORD [REDACTED]"
    rights = " WITH ALL PRIVILEGES" if admin else ""
    text = f"CREATE USER {quote_identifier(name)} {password}{rights}"
    plan.add(text, partial(steps.create_user, name=name, hash=hash, admin=admin))
    for database, privilege in grants.items():
        put = partial(steps.grant, name=name, database=database, privilege=privilege)
        plan.add(Grant(privilege, database, name), put)


def _put_profile(tx: Tx, name: str, profile: Profile) -> None:
    user = tx.user(name)
    assert user is not None  # created before, in the same transaction
    tx.put_profile(user, profile)


def _disable(tx: Tx, name: str) -> None:
    # The store had this user never before: it is not its last administrator.
    steps.set_status(tx, name, UserStatus.DISABLED, keep_last_admin=False)


def _take_keys(
    keys: Sequence[PyroscopeKey], databases: Sequence[str], plan: _Plan, flags: argparse.Namespace
) -> None:
    """Plans *keys* and their owner, with the rights that the keys need, and no others."""
    owner = plan.store.user(flags.keys_owner)
    taken = list(_usable_keys(keys, plan, flags))
    if not taken:
        return
    roles = {key.name: role_rights(key.role) for key in taken}
    needed = Privilege.NONE
    for admin, privilege in roles.values():
        needed |= Privilege.NONE if admin else privilege
    admin = owner.admin if owner is not None else any(admin for admin, _ in roles.values())
    grants = {} if admin else {name: needed for name in databases if needed}
    if owner is None:
        check_user(DeclaredUser(flags.keys_owner))
        _create_user(flags.keys_owner, NO_PASSWORD, grants, plan, admin=admin)
    else:
        for database, privilege in grants.items():
            if missing := privilege & ~owner.grants.get(database, Privilege.NONE):
                grant = Grant(Privilege(missing), database, owner.name)
                plan.leave_out(str(grant), "the user exists already and stays as it is")
    # An administrator has all databases, so that only the key's own scope can name these.
    named = flags.databases is not None or admin
    for key in taken:
        is_admin, privilege = roles[key.name]
        scope = KeyScope(is_admin, privilege)
        if named and not is_admin:
            scope = KeyScope(False, Privilege.NONE, dict.fromkeys(databases, privilege))
        _add_key(key, flags.keys_owner, scope, plan)


def _usable_keys(
    keys: Sequence[PyroscopeKey], plan: _Plan, flags: argparse.Namespace
) -> Iterator[PyroscopeKey]:
    """Yields the keys that can be taken. The plan names the others."""
    owner = plan.store.user(flags.keys_owner)
    names = {key.name for key in _keys_of(plan.store, owner.id)} if owner is not None else set()
    for key in keys:
        what = f"key {key.name}"
        if is_key_text(key.name):  # the name may be a secret by mistake
            plan.leave_out(f"key number {key.number}", "its name looks like a key", refused=True)
        elif key.name in names:
            plan.leave_out(what, f"{flags.keys_owner} has a key with this name, which stays")
        elif reason := _key_fault(key):
            plan.leave_out(what, reason, refused=True)
        elif key.role == "Admin" and not flags.admin_keys:
            plan.leave_out(what, "its role is Admin: --admin-keys takes it")
        elif key.role == "Admin" and owner is not None and not owner.admin:
            plan.leave_out(what, f"its role is Admin, and {owner.name} is no administrator")
        else:
            yield key


def _keys_of(store: Store, owner_id: str) -> Iterator[Any]:
    after = ""
    while page := store.api_keys(after, owner_id=owner_id):
        yield from page
        after = page[-1].id


def _key_fault(key: PyroscopeKey) -> str:
    """Returns why *key* cannot be taken, or ""."""
    try:
        check_user(DeclaredUser("owner", hash=key.hash))
    except StatementError as error:
        return str(error)
    if not 1 <= len(key.name) <= _MAX_KEY_NAME_CHARS or not key.name.isprintable():
        return f"its name needs 1 to {_MAX_KEY_NAME_CHARS} characters, no control characters"
    if key.number < 0:
        return "its number is negative"
    if key.expires_at is None:
        return "the time when it expires cannot be read"
    return "" if key.role else "its role is unknown"


def _add_key(key: PyroscopeKey, owner: str, scope: KeyScope, plan: _Plan) -> None:
    expires_at = key.expires_at or 0
    end = f", until {time_text(expires_at)}" if expires_at else ""
    names = f"{quote_identifier(key.name)} of {quote_identifier(owner)}"
    change = partial(
        add_imported_key,
        owner=owner,
        name=key.name,
        number=key.number,
        hash=key.hash,
        scope=scope,
        created_at=key.created_at or int(time.time()),
        expires_at=expires_at,
    )
    plan.add(f"-- key {names} made: {scope_text(scope)}{end}", change)
