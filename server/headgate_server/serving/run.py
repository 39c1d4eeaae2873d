"""The command `headgate serve`: opens listeners and the user store, then runs the workers."""

import gc
import os
import resource
from collections.abc import Callable, Mapping
from dataclasses import replace

from headgate_engine import VERSION
from headgate_server.config.settings import Settings
from headgate_server.prepared_store import PreparedStore
from headgate_server.serving.listeners import ListenError, Listeners, listen
from headgate_server.serving.service_manager import ServiceManager, inherited_sockets
from headgate_server.serving.startup_checks import check
from headgate_server.serving.store_preparation import prepare_store
from headgate_server.serving.supervisor import Supervisor
from headgate_server.serving.worker import install_early_signal_handlers, run_worker
from headgate_server.telemetry import logging as logs
from headgate_server.telemetry.metrics import shared_folder
from headgate_server.validation.configuration import check_exposure


def serve(settings: Settings) -> int:
    """Serves until SIGTERM or SIGINT, then finishes the running requests. Returns the exit status.

    Raises ConfigurationError, StoreError, ListenError or CertificateError before the first request.
    """
    logs.configure(settings.log_format, access=settings.log_enabled, timed=True)
    install_early_signal_handlers()
    # The memory holds passwords: no core dump may reach a disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The highest limit of open files that the system allows: it also limits the connections.
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))
    gc.disable()  # until requests are served: a start makes many objects, and little garbage
    return open_and_run(settings, os.environ, _run)


def open_and_run(
    settings: Settings,
    environment: Mapping[str, str],
    run: Callable[[Settings, Listeners, PreparedStore], int],
) -> int:
    """Opens the listeners and the user store of *settings*. Returns the exit status of *run*.

    *environment* may declare the first users. Raises ConfigurationError, StoreError, ListenError or
    CertificateError before *run* is called.
    """
    try:
        inherited = inherited_sockets(environment)
    except OSError as error:
        raise ListenError(f"cannot use the sockets of systemd: {error.strerror}") from None
    check(settings, listens=not inherited)
    listeners = listen(settings, inherited)
    prepared = None
    try:
        if inherited:  # whether networks can reach the server depends on the address in use
            settings = replace(settings, bind_address=listeners.bind_address)
            check_exposure(settings)
        settings, prepared = prepare_store(settings, environment)
        scheme = "https" if settings.https_enabled else "http"
        logs.log_info(
            f"version {VERSION} listening on {listeners.addresses(scheme)},"
            f" store {settings.store_path}"
        )
        if settings.serves_console():
            logs.log_info(f"console: {listeners.console(scheme)}")
        return run(settings, listeners, prepared)
    finally:
        listeners.close()
        if prepared is not None:
            prepared.close()
            logs.log_info("stopped")


def _run(settings: Settings, listeners: Listeners, prepared: PreparedStore) -> int:
    manager = ServiceManager(os.environ)
    if settings.workers == 1:
        run_worker(settings, listeners, manager=manager, prepared=prepared)
        return 0
    prepared.close()  # each worker opens the store itself
    gc.enable()
    with shared_folder():
        return Supervisor(settings, listeners, manager).run()
