"""One worker process: creates the server and runs it until a signal ends it. Uses uvloop."""

import asyncio
import gc
import math
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from email.utils import formatdate
from itertools import count
from multiprocessing import parent_process
from types import FrameType
from typing import Any, NoReturn

import uvloop

from headgate_server.application import Application
from headgate_server.config.loader import ConfigurationError
from headgate_server.config.settings import Settings
from headgate_server.prepared_store import PreparedStore
from headgate_server.serving.batch import Batch
from headgate_server.serving.connection_limits import ConnectionLimits
from headgate_server.serving.head_memory import HeadBudget
from headgate_server.serving.http_protocol import Connection
from headgate_server.serving.idle_connections import IdleConnections
from headgate_server.serving.listeners import Listeners
from headgate_server.serving.relayed_connections import RelayedConnections
from headgate_server.serving.server_state import ServerState
from headgate_server.serving.service_manager import ServiceManager
from headgate_server.serving.shutdown import Acceptor, shut_down
from headgate_server.serving.thread_stacks import install_stack_signals
from headgate_server.serving.tls import Certificate, CertificateError, certificate_end
from headgate_server.telemetry import logging as logs
from headgate_server.validation.configuration import reload_settings

_SWITCH_SECONDS = 0.001
_TICK_SECONDS = 0.1
_TICKS_PER_CHECK = 10
_END_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# Signals that arrived before the server existed.
_early_end_signals: list[int] = []
_early_reload_signals: list[int] = []


def _no_op() -> None:
    """Does nothing: the default callback of `run_worker`."""


def run_worker(
    settings: Settings,
    listeners: Listeners,
    started: Callable[[], None] = _no_op,
    alive: Callable[[], None] = _no_op,
    manager: ServiceManager | None = None,
    prepared: PreparedStore | None = None,
) -> None:
    """Serves on *listeners* until SIGTERM or SIGINT, then finishes the running requests.

    Requests that still run after `GRACE_SECONDS`, or when the same signal comes again, are aborted.
    The process then exits with status 1. *started* is called once connections are accepted, and
    *alive* once a second. SIGHUP reloads the configuration of tokens and gateway, and the
    certificate. *manager* is told of the state of a server without a supervisor, and *prepared* is
    its user store. Raises CertificateError.
    """
    logs.configure(settings.log_format, access=settings.log_enabled, timed=True)
    install_early_signal_handlers()
    gc.disable()  # until requests are served

    def serving() -> None:
        _reduce_garbage_collection()
        started()

    server = make_server(_current_settings(settings), listeners, serving, prepared)
    if manager is None:  # the supervisor receives SIGHUP, and passes it on
        server.application.status.reload = _reload_all_workers
    else:
        server.manager = manager
    server.alive = alive
    for number in _END_SIGNALS:
        # From here on no signal handler raises: the event loop would drop the exception.
        signal.signal(number, server.handle_exit)
    if _early_end_signals:
        return
    # A long statement in a thread delays the event loop by no more than this at a time.
    sys.setswitchinterval(_SWITCH_SECONDS)
    server.run()
    if server.failed:
        raise SystemExit(1)
    if not server.application.finished:
        logs.log_error("statements were still running and are aborted")
        os._exit(1)  # what runs in a thread cannot be stopped otherwise


def _reload_all_workers() -> None:
    """Makes the supervisor send SIGHUP to each worker. A process in its place gets no signal."""
    supervisor = parent_process()
    if supervisor is not None and supervisor.pid is not None and supervisor.is_alive():
        os.kill(supervisor.pid, signal.SIGHUP)


def make_server(
    settings: Settings,
    listeners: Listeners,
    started: Callable[[], None],
    prepared: PreparedStore | None = None,
) -> "WorkerServer":
    """Returns a server for *listeners*, which calls *started* once it accepts connections.

    *prepared* is its user store, if it is open already. Raises CertificateError.
    """
    certificate = None
    if settings.https_enabled:
        certificate = Certificate(settings.https_certificate, settings.https_private_key)
    application = Application(settings, prepared)
    limits = ConnectionLimits(
        read_header=settings.read_header_timeout,
        read=settings.read_timeout,
        write=settings.write_timeout,
        idle=settings.idle_timeout,
        connections=settings.max_connection_limit,
    )
    state = ServerState()
    batch = Batch(application)
    heads, idle = HeadBudget(), IdleConnections()

    metrics = application.metrics

    def make_connection(relayed_client: str | None = None) -> Connection:
        return Connection(limits, heads, idle, metrics, application, batch, state, relayed_client)

    relayed = None
    if settings.proxy_protocol:
        networks = settings.trusted_proxies
        relayed = RelayedConnections(networks, limits, idle, state, metrics, make_connection)
    handshake = settings.read_header_timeout
    server = WorkerServer(
        application, state, make_connection, listeners, certificate, handshake, started, relayed
    )
    server.shutdown_delay = settings.shutdown_delay
    server.store_certificate = settings.store_certificate_file
    return server


def _current_settings(settings: Settings) -> Settings:
    """Returns *settings* reloaded from the configuration.

    If the configuration is invalid, returns *settings* unchanged. The workers that received SIGHUP
    have logged the error.
    """
    try:
        return reload_settings(settings, os.environ)
    except ConfigurationError:
        return settings


class WorkerServer:
    """The server of one worker process, on TCP and a unix socket: deadlines, reload by SIGHUP.

    *handshake* is the timeout of a TLS handshake in seconds (0: none). *make_connection* returns
    the protocol of a new connection. *started* is called once connections are accepted. *relayed*
    accepts the connections if they may begin with PROXY headers.
    """

    def __init__(
        self,
        application: Application,
        state: ServerState,
        make_connection: Callable[[], asyncio.Protocol],
        listeners: Listeners,
        certificate: Certificate | None,
        handshake: float,
        started: Callable[[], None],
        relayed: RelayedConnections | None = None,
    ) -> None:
        self.application = application
        self.should_exit = False
        self.manager = ServiceManager({})
        self.alive: Callable[[], None] = _no_op  # called once a second
        self.application.status.reload = self.reload
        self.store_certificate = ""  # the file of the client's certificate for the store
        self.shutdown_delay = 0.0  # how long requests are still answered after a signal to end
        self.failed = False  # whether the application could not start
        self._state = state
        self._make_connection = make_connection
        self._handshake = handshake or None
        self._listeners = listeners
        self._certificate = certificate
        self._on_started = started
        self._relayed = relayed
        self._received_signals: set[int] = set()

    def run(self) -> None:
        """Serves until `handle_exit` is called, in an event loop of its own."""
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        if not await self.application.startup():
            self.failed = True
            return
        servers = await self._listen()
        try:
            self._on_started()
            self.manager.ready()
            await self._run_ticks()
        finally:
            await shut_down(servers, self._state, self.application)

    async def _listen(self) -> Sequence[Acceptor]:
        """Starts to accept connections. Returns an object for each listening socket."""
        loop = asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():  # others have no signals
            loop.add_signal_handler(signal.SIGHUP, self.reload)
        if _early_reload_signals:
            self.reload()  # SIGHUP may have come after the configuration was read
        self._show_certificate()
        self._set_date()
        if self._relayed is not None:
            return self._listen_for_headers(self._relayed)
        tls: dict[str, Any] = {}
        if self._certificate is not None:
            tls = {"ssl": self._certificate.context, "ssl_handshake_timeout": self._handshake}
        make = self._make_connection
        servers = [await loop.create_server(make, sock=self._listeners.tcp, **tls)]
        if self._listeners.unix is not None:
            # Without TLS, as in InfluxDB: a unix socket does not cross a network.
            servers.append(await loop.create_unix_server(make, sock=self._listeners.unix))
        return servers

    def _listen_for_headers(self, relayed: RelayedConnections) -> Sequence[Acceptor]:
        """Starts to accept connections that may begin with PROXY headers."""
        context = None if self._certificate is None else self._certificate.context
        servers = [relayed.listen(self._listeners.tcp, context)]
        if self._listeners.unix is not None:
            servers.append(relayed.listen(self._listeners.unix, None))
        return servers

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begins the shutdown. *sig* is the signal, *frame* is unused.

        If the same signal has come before, ends the process immediately with status 1. With a
        supervisor, that one decides: a signal to all processes arrives twice here.
        """
        if sig in self._received_signals:
            supervisor = parent_process()
            if supervisor is None or not supervisor.is_alive():
                os._exit(1)  # the second signal: end now
        self._received_signals.add(sig)
        self.should_exit = True

    async def _run_ticks(self) -> None:
        """Flushes the metrics every 0.1 s, and checks connections' deadlines once a second.

        Returns `shutdown_delay` after a signal to end. Until then, /health fails and all requests
        are answered: a load balancer has the time to choose another server.
        """
        loop, ends_at = asyncio.get_running_loop(), math.inf
        for tick in count():
            if self.should_exit and not self.application.status.is_stopping:
                self.application.status.is_stopping = True
                self.manager.stopping()
                ends_at = loop.time() + self.shutdown_delay
            if loop.time() >= ends_at:
                return
            self.application.metrics.flush()
            if tick % _TICKS_PER_CHECK == 0:
                self._set_date()
                self.alive()
                self.manager.sign_of_life()
                self._state.check_deadlines(loop.time())
            await asyncio.sleep(_TICK_SECONDS)

    def _set_date(self) -> None:
        """Sets the header field `Date` for all responses until the next call, a second later."""
        self._state.default_fields = [(b"date", formatdate(usegmt=True).encode())]

    def reload(self) -> None:
        """Reloads the settings of tokens and gateway, and the certificate.

        After an error, which is logged, the former settings or the former certificate stay in use.
        """
        self.manager.reloading()
        try:
            self._reload()
        finally:
            self.manager.ready()

    def _reload(self) -> None:
        try:
            self.application.reconfigure()
        except ConfigurationError as error:
            logs.log_error(f"{error}; the former configuration stays in use")
        except Exception as error:  # the certificate is reloaded in any case
            self._note_failure("internal error")
            logs.log_internal_error(error, "")
        else:
            logs.log_info("configuration of tokens and gateway read again")
        if self._certificate is None:
            self._show_certificate()
            return
        try:
            self._certificate.reload()
        except CertificateError as error:
            self._note_failure(str(error))
            logs.log_error(f"{error}; the former certificate stays in use")
        else:
            self._show_certificate()
            logs.log_info("certificate read again")

    def _note_failure(self, reason: str) -> None:
        """Notes for /health and the metrics that the reload failed because of *reason*."""
        self.application.status.reload_error = reason
        self.application.metrics.configuration.refused()

    def _show_certificate(self) -> None:
        """Shows in the metrics when the certificates in use end, as far as it can be read."""
        metrics = self.application.metrics.configuration
        if self._certificate is not None:
            with suppress(CertificateError):
                metrics.certificate("server", self._certificate.ends_at())
        if self.store_certificate:
            with suppress(CertificateError):
                metrics.certificate("store", certificate_end(self.store_certificate))


def _reduce_garbage_collection() -> None:
    """Makes Python's garbage collection rare, which saves CPU time.

    It is seldom needed: the objects that exist now are permanent, and a request creates few
    reference cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


def install_early_signal_handlers() -> None:
    """Installs the signal handlers for the time before the server exists.

    SIGTERM and SIGINT exit with status 0. SIGHUP takes effect once the server exists.
    SIGUSR1 and SIGUSR2 leave the process running.
    """
    install_stack_signals()
    for number in _END_SIGNALS:
        signal.signal(number, _exit_early)
    signal.signal(signal.SIGHUP, lambda number, _: _early_reload_signals.append(number))


def _exit_early(number: int, frame: FrameType | None) -> NoReturn:
    # Python drops an exception that is raised during its clean-up, hence the list.
    _early_end_signals.append(number)
    raise SystemExit(0)
