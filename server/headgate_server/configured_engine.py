"""Opens the user store of a server, and builds its engine, from the settings."""

import os

from headgate_engine import (
    AuditFile,
    Engine,
    KeyLimits,
    Passwords,
    SessionLimits,
    Store,
    StoreObserver,
    open_store,
)
from headgate_grammar import DIALECTS, ParseCache, ParseLimits
from headgate_server.config.settings import Settings
from headgate_server.telemetry.logging import log_error

# RE2 takes about a quarter of a second for it. A dashboard's query needs a hundredth of it.
_MAX_REGEX_COST = 500_000


def parse_limits(settings: Settings) -> ParseLimits:
    """Returns the limits for parsing a query, which apply before it is authorized."""
    return ParseLimits(
        settings.max_statements, settings.max_statement_length, _MAX_REGEX_COST, settings.max_tokens
    )


def build_passwords(settings: Settings, max_concurrent: int = 0) -> Passwords:
    """Returns an object that hashes passwords by the rules of *settings*.

    It runs at most *max_concurrent* bcrypt calls at once; 0: one for each processor.
    """
    return Passwords(
        settings.bcrypt_cost,
        min_length=settings.password_min_length,
        max_concurrent=max_concurrent or os.cpu_count() or 1,
    )


def open_server_store(settings: Settings, observer: StoreObserver) -> Store:
    """Returns the user store of *settings*, created if it is a missing file.

    It reports to *observer*, and its faults go to the log. Raises StoreError.
    """
    return open_store(
        settings.store_path,
        settings.store_options(),
        create=True,
        audit_file=AuditFile(settings.audit_file) if settings.audit_file else None,
        observer=observer,
        report=log_error,
        slot=settings.position_slot,
    )


def build_engine(store: Store, settings: Settings, *, max_concurrent: int = 0) -> Engine:
    """Returns an engine on *store* with the rules of *settings* for passwords, keys and sessions.

    It rejects the removal of the last administrator if *settings* say so.
    """
    return Engine(
        store,
        build_passwords(settings, max_concurrent),
        ParseCache(
            limits=parse_limits(settings),
            dialect=next(one for one in DIALECTS if one == settings.dialect),
        ),
        keep_last_admin=settings.keep_last_admin and settings.auth_enabled,
        external_passwords=settings.external_passwords,
        key_limits=KeyLimits(settings.max_keys_per_user, settings.api_key_max_seconds_to_live),
        session_limits=SessionLimits(
            int(settings.login_maximum_inactive_lifetime_duration),
            int(settings.login_maximum_lifetime_duration),
            settings.token_rotation_interval_minutes * 60,
            settings.max_sessions_per_user,
        ),
    )
