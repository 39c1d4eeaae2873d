"""Prepares the user store and the audit file before the first request."""

from dataclasses import replace

from headgate_engine import AuditFile, SqliteStore, StoreError, StoreUnavailable
from headgate_server.auth.initial_setup import new_setup_token
from headgate_server.config.settings import Settings
from headgate_server.serving.startup_checks import warnings
from headgate_server.telemetry import logging as logs


def prepare_store(settings: Settings) -> Settings:
    """Creates the user store if it never existed, and detects its faults before the start.

    Returns *settings*. If there are no users yet, the result has a set-up token, with which the
    first user can be created from another machine. Raises StoreError if the user store or the
    audit file is unusable.
    """
    _check_audit_file(settings)
    store = SqliteStore(settings.store_path)
    created, upgraded = store.created, store.upgraded
    try:
        empty = store.empty()
    except StoreUnavailable as error:
        raise StoreError(
            f"store {settings.store_path}: {error}; `headgate store check` shows details,"
            " `headgate store restore` puts a backup in its place"
        ) from None
    finally:
        store.close()
    if created:
        logs.log_info(f"created store {settings.store_path}")
    if upgraded:
        logs.log_info(
            f"upgraded store {settings.store_path} from version {upgraded};"
            f" the former store is kept as {settings.store_path}.v{upgraded}"
        )
    for warning in warnings(settings):
        logs.log_warning(warning)
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


def _check_audit_file(settings: Settings) -> None:
    """Raises StoreError at the start if a change could not be written to the audit file later."""
    if settings.audit_file:
        try:
            AuditFile(settings.audit_file).append([])
        except OSError as error:
            raise StoreError(f"audit file {settings.audit_file}: {error.strerror}") from None
