"""The command `headgate serve`: opens listeners and the user store, then runs the workers."""

import resource
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version

from headgate_engine import AuditFile, SqliteStore, StoreError, StoreUnavailable
from headgate_server.auth.initial_setup import new_setup_token
from headgate_server.config.settings import Settings
from headgate_server.serving.listeners import Listeners, listen
from headgate_server.serving.startup_checks import check, warnings
from headgate_server.serving.supervisor import Supervisor
from headgate_server.serving.worker import install_early_signal_handlers, run_worker
from headgate_server.telemetry import logging as logs
from headgate_server.telemetry.metrics import shared_folder


def serve(settings: Settings) -> int:
    """Serves until SIGTERM or SIGINT, then finishes the running requests. Returns the exit status.

    Raises StoreError, ListenError or CertificateError before the first request.
    """
    logs.configure(settings.log_format, access=settings.log_enabled, timed=True)
    install_early_signal_handlers()
    # The memory holds passwords: no core dump may reach a disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The highest limit of open files that the system allows: it also limits the connections.
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))
    return open_and_run(settings, _run)


def open_and_run(settings: Settings, run: Callable[[Settings, Listeners], int]) -> int:
    """Opens the listeners and the user store of *settings*. Returns the exit status of *run*.

    Raises StoreError, ListenError or CertificateError before *run* is called.
    """
    check(settings)
    listeners = listen(settings)
    try:
        settings = _prepare_store(settings)
        scheme = "https" if settings.https_enabled else "http"
        logs.log_info(
            f"version {version('headgate')} listening on {listeners.addresses(scheme)},"
            f" store {settings.store_path}"
        )
        return run(settings, listeners)
    finally:
        listeners.close()
        logs.log_info("stopped")


def _run(settings: Settings, listeners: Listeners) -> int:
    if settings.workers == 1:
        run_worker(settings, listeners)
        return 0
    with shared_folder():
        return Supervisor(settings, listeners).run()


def _prepare_store(settings: Settings) -> Settings:
    """Creates the user store if it never existed, and detects its faults before the start.

    Returns *settings*. If there are no users yet, the result has a set-up token, with which the
    first user can be created from another machine.
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
    """Raises StoreError if the audit file cannot be written: now, not at the first change."""
    if settings.audit_file:
        try:
            AuditFile(settings.audit_file).append([])
        except OSError as error:
            raise StoreError(f"audit file {settings.audit_file}: {error.strerror}") from None
