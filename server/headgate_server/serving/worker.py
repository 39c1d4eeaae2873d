"""One process that serves. Knows uvicorn."""

import asyncio
import logging
import signal
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any, NoReturn, cast

import uvicorn

from headgate_server import logs
from headgate_server.app import Application
from headgate_server.serving.connection import Connection, Limits
from headgate_server.serving.listeners import Listeners
from headgate_server.serving.tls import Certificate, CertificateError
from headgate_server.settings import Settings

# How long a request may take on when the server ends.
GRACE_SECONDS = 30
_TICKS_PER_CHECK = 10  # of a tenth of a second each
_ENDING = (signal.SIGTERM, signal.SIGINT)


def _nothing() -> None:
    """Nobody waits for it."""


def work(settings: Settings, listeners: Listeners, started: Callable[[], None] = _nothing) -> None:
    """Serves on *listeners* until SIGTERM or SIGINT, then finishes the running requests.

    Calls *started* when it serves. On SIGHUP it reads the certificate again. Raises
    CertificateError.
    """
    logs.set_up(settings.log_format, access=settings.log_enabled)
    end_well()
    certificate = None
    if settings.https_enabled:
        certificate = Certificate(settings.https_certificate, settings.https_private_key)
    application = Application(settings)
    limits = Limits(
        read_header=settings.read_header_timeout,
        read=settings.read_timeout,
        write=settings.write_timeout,
        idle=settings.idle_timeout,
        connections=settings.max_connection_limit,
    )
    protocol: Any = partial(Connection, limits, application.metrics)
    config = uvicorn.Config(
        application,
        loop="uvloop",
        http=protocol,
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        log_level=logging.ERROR,
        proxy_headers=False,  # anybody could write another address into the audit
        access_log=False,  # it would show passwords that stand in URLs
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_keep_alive=86_400,  # Connection knows better
        ssl_context_factory=(lambda *_: certificate.context) if certificate is not None else None,
    )
    server = _Server(config, listeners, certificate, started)
    for number in _ENDING:
        # From here on nothing is raised by a signal: the loop would lose it.
        signal.signal(number, server.handle_exit)
    server.run([listeners.tcp])


class _Server(uvicorn.Server):
    """uvicorn's, with what it lacks: a unix socket beside TCP, time limits, SIGHUP."""

    def __init__(
        self,
        config: uvicorn.Config,
        listeners: Listeners,
        certificate: Certificate | None,
        started: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._listeners = listeners
        self._certificate = certificate
        self._tell_started = started

    async def startup(self, sockets: Any = None) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        await super().startup(sockets)
        if self._listeners.unix is not None:
            make = partial(
                cast(Any, self.config.http_protocol_class),
                config=self.config,
                server_state=self.server_state,
                app_state=self.lifespan.state,
            )
            # Never with TLS, as in InfluxDB: nobody listens in on it.
            server = await loop.create_unix_server(make, sock=self._listeners.unix)
            self.servers.append(cast(Any, server))
        self._tell_started()

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS_PER_CHECK == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                cast(Connection, connection).check(now)
        return await super().on_tick(counter)

    def _reload(self) -> None:
        if self._certificate is None:
            return
        try:
            self._certificate.reload()
        except CertificateError as error:
            logs.complain(f"{error}; the one in use stays")
        else:
            logs.say("certificate read again")


def end_well() -> None:
    """Ends with 0 on a signal before anything is served; a SIGHUP has nothing to reload yet."""
    for number in _ENDING:
        signal.signal(number, _leave)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)
