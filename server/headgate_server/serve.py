"""Running the application under uvicorn, in one process or in several. Knows uvicorn."""

import logging
import signal
import socket
import sys
from functools import partial
from types import FrameType
from typing import NoReturn

import uvicorn
from uvicorn.supervisors import Multiprocess

from headgate_engine import SqliteStore
from headgate_server.app import application
from headgate_server.settings import Settings

_SHUTDOWN_SECONDS = 30


class CannotListen(Exception):
    """The address is taken, or is none."""


def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT, then finishes the running requests.

    Raises StoreError or CannotListen before the first request.
    """
    listener = _listen(*settings.address())
    _open_once(settings)
    config = uvicorn.Config(
        # Made anew in every process: connections to the store must not cross a fork.
        partial(application, settings),
        factory=True,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_level=logging.WARNING,
        proxy_headers=False,  # anybody could write another address into the audit
        access_log=False,  # it would show passwords that stand in URLs
        server_header=False,
        workers=settings.workers,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )
    if settings.workers == 1:
        _end_well()
    host, port = listener.getsockname()[:2]
    print(
        f"headgate: listening on http://{f'[{host}]' if ':' in host else host}:{port},"
        f" store {settings.store_path}",
        file=sys.stderr,
        flush=True,
    )
    if settings.workers > 1:
        Multiprocess(config, sockets=[listener]).run()
    else:
        uvicorn.Server(config).run(sockets=[listener])


def _open_once(settings: Settings) -> None:
    """Creates the store if there never was one; finds what is wrong with it before all else."""
    store = SqliteStore(settings.store_path)
    created, empty = store.created, store.empty()
    store.close()
    if created:
        print(f"headgate: created store {settings.store_path}", file=sys.stderr)
    if not settings.auth_enabled:
        print(
            "headgate: authentication is off: everybody who reaches this server is administrator",
            file=sys.stderr,
        )
    elif empty:
        print(
            "headgate: there are no users yet: the first query has to be"
            " CREATE USER <name> WITH PASSWORD '<password>' WITH ALL PRIVILEGES",
            file=sys.stderr,
        )


def _listen(host: str, port: int) -> socket.socket:
    try:
        if not host and socket.has_dualstack_ipv6():
            listener = socket.create_server(
                ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=2048
            )
        else:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        where = f"{f'[{host}]' if ':' in host else host}:{port}"
        raise CannotListen(f"cannot listen on {where}: {error.strerror}") from None
    listener.set_inheritable(True)
    return listener


def _end_well() -> None:
    """Ends with 0 on a signal before uvicorn listens to it, and on the one it raises again when it
    has finished its work.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)
