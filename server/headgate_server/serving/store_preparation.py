"""Prepares the user store and the audit file before the first request."""

import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from headgate_engine import (
    AuditFile,
    Engine,
    ForwardingObserver,
    MemoryStore,
    Passwords,
    PlannedChange,
    SqliteStore,
    StatementError,
    Store,
    StoreError,
    StoreUnavailable,
    apply_changes,
    has_users,
    open_store,
    plan_changes,
)
from headgate_server.auth.initial_setup import new_setup_token
from headgate_server.config.first_users import read_first_users
from headgate_server.config.loader import ConfigurationError
from headgate_server.config.settings import Settings
from headgate_server.configured_engine import open_server_store
from headgate_server.prepared_store import PreparedStore
from headgate_server.serving.startup_checks import warnings
from headgate_server.telemetry import logging as logs


def prepare_store(
    settings: Settings, environment: Mapping[str, str]
) -> tuple[Settings, PreparedStore]:
    """Opens the user store, creates it if it never existed, and detects its faults.

    If the store has no users, creates those that *environment* declares: see `read_first_users`.
    Returns *settings* and the store, which the caller closes. If there are still no users, the
    settings have a set-up token, with which the first user can be created from another machine.
    Raises StoreError if the user store or the audit file is unusable. Raises ConfigurationError for
    invalid first users.
    """
    _check_audit_file(settings)
    # Planned before the store exists: an error leaves no store behind.
    exists = settings.is_store_shared or os.path.exists(settings.store_path)
    plan = [] if exists else plan_first_users(settings, environment)
    observer = ForwardingObserver()
    prepared = PreparedStore(open_server_store(settings, observer), observer)
    try:
        return _prepared(settings, environment, plan, prepared.store), prepared
    except StoreUnavailable as error:
        prepared.close()
        raise StoreError(_unusable(settings, error)) from None
    except BaseException:
        prepared.close()
        raise


def _prepared(
    settings: Settings,
    environment: Mapping[str, str],
    plan: Sequence[PlannedChange],
    store: Store,
) -> Settings:
    """Returns *settings*, with a set-up token if *store* has no users. Logs what is notable.

    Creates the first users by *plan*, or those in *environment*. Raises ConfigurationError,
    StoreUnavailable.
    """
    if store.empty():
        _create_first_users(store, plan or plan_first_users(settings, environment))
    empty = store.empty()
    guest = settings.anonymous.user if settings.anonymous.enabled else ""
    lacks_guest = bool(guest) and store.user(guest) is None
    if isinstance(store, SqliteStore):
        _log_opened(store, settings.store_path)
    for warning in warnings(settings):
        logs.log_warning(warning)
    if lacks_guest:
        logs.log_warning(f"[auth.anonymous] user: there is no user {guest!r} yet")
    if not settings.auth_enabled:
        logs.log_info("authentication is off: every client of this server is an administrator")
    elif empty:
        settings = replace(settings, setup_token=new_setup_token())
        logs.log_info(
            "there are no users yet: the first query has to be"
            " CREATE USER <name> WITH PASSWORD '<password>' WITH ALL PRIVILEGES"
        )
        if settings.open_setup:
            logs.log_warning(
                "open-setup: the first client to send that query becomes administrator"
            )
        else:
            logs.log_info(
                "from another machine that query has to carry this set-up token:"
                f" Authorization: Bearer {settings.setup_token}"
            )
    return settings


def _unusable(settings: Settings, error: StoreUnavailable) -> str:
    if settings.is_store_shared:
        return f"store {settings.store_path}: {error}"
    return (
        f"store {settings.store_path}: {error}; `headgate store check` shows details,"
        " `headgate store restore` puts a backup in its place"
    )


def _log_opened(store: SqliteStore, path: str) -> None:
    """Logs whether the file of *store* was created or upgraded."""
    if store.created:
        logs.log_info(f"created store {path}")
    if store.upgraded:
        logs.log_info(
            f"upgraded store {path} from version {store.upgraded};"
            f" the former store is kept as {path}.v{store.upgraded}"
        )


def plan_first_users(settings: Settings, environment: Mapping[str, str]) -> Sequence[PlannedChange]:
    """Returns the changes that create what *environment* declares in a store without users.

    Runs bcrypt. Raises ConfigurationError.
    """
    passwords = Passwords(settings.bcrypt_cost, min_length=settings.password_min_length)
    try:
        return plan_changes(Engine(MemoryStore(), passwords), read_first_users(environment))
    except StatementError as error:
        raise ConfigurationError(f"first users in the environment: {error}") from None


def check_first_users(settings: Settings, environment: Mapping[str, str]) -> None:
    """Raises ConfigurationError for invalid first users, if the store is missing or has none."""
    try:
        if _has_users(settings):
            return
    except StoreError:
        return  # `problems` reports it
    plan_first_users(settings, environment)


def _has_users(settings: Settings) -> bool:
    if not settings.is_store_shared:
        return has_users(Path(settings.store_path))
    with closing(open_store(settings.store_path, settings.store_options())) as store:
        return not store.empty()


def _create_first_users(store: Store, plan: Sequence[PlannedChange]) -> None:
    """Makes the changes of *plan* in one transaction, unless another process makes them first."""
    address = "environment of the first start"
    if apply_changes(Engine(store), plan, address=address, require=lambda tx: tx.empty()):
        for change in plan:
            logs.log_info(f"first start: {change.statement}")


def _check_audit_file(settings: Settings) -> None:
    """Raises StoreError at the start if a change could not be written to the audit file later."""
    if settings.audit_file:
        try:
            AuditFile(settings.audit_file).append([])
        except OSError as error:
            raise StoreError(f"audit file {settings.audit_file}: {error.strerror}") from None
