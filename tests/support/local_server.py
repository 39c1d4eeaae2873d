"""Runs `headgate serve` inside the process of the tests: in a thread, on a real port.

Settings, application and protocol are those of a worker process; only signals, resource limits and
the process title are missing. Each server writes a log file of its own. A log record belongs to the
server whose thread created it; a thread belongs to the server of the thread that started it.
"""

import asyncio
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TextIO

from headgate import serve as cli
from headgate_server import Settings
from headgate_server.prepared_store import PreparedStore
from headgate_server.serving.listeners import Listeners
from headgate_server.serving.run import open_and_run
from headgate_server.serving.worker import WorkerServer, make_server
from headgate_server.telemetry import logging as logs
from support.server_process import CHEAP
from support.servers import Server, reason_of
from support.waiting import free_port

# The thread switch interval of a worker process.
_SWITCH_SECONDS = 0.001
_MAX_STOP_SECONDS = 40.0


@dataclass
class LocalServer(Server):
    """A server in this process, on a store in its own folder."""

    _thread: "_ServerThread | None" = None
    _worker: WorkerServer | None = None
    _loop: asyncio.AbstractEventLoop | None = None
    _serving: threading.Event = field(default_factory=threading.Event)
    _status: int = 0
    log_file: TextIO | None = None
    formatter: logging.Formatter = field(default_factory=logging.Formatter)
    logs_requests: bool = False

    def start(self) -> Self:
        self._launch()
        assert self.running(), f"server did not start: {self.log()}"
        return self

    def attempt(self) -> str:
        path = self.beside.with_suffix(".log")
        known = len(path.read_text()) if path.exists() else 0
        self._launch()
        if self.running():
            return ""
        assert self._join() == 1, self.log()
        self.write_secrets()
        return reason_of(self.log()[known:].splitlines())

    def running(self) -> bool:
        """Returns whether the server accepts requests."""
        return self._thread is not None and self._thread.is_alive() and self._loop is not None

    def stop(self) -> int:
        self.end_later()
        return self._join()

    def end_later(self) -> None:
        # A second signal would end the tests.
        if self._worker is not None and not self._worker.should_exit:
            self._worker.handle_exit(signal.SIGTERM, None)
        self.write_secrets()

    def join(self) -> None:
        """Waits until the server has stopped."""
        self._join()

    def reload(self) -> None:
        """Reloads the configuration as after SIGHUP, and waits until it is loaded."""
        assert self._worker is not None and self._loop is not None
        done = threading.Event()
        worker = self._worker

        def reload() -> None:
            with _environment(self._variables()):
                worker.reload()
            done.set()

        self._loop.call_soon_threadsafe(reload)
        assert done.wait(30), "it does not reload"

    def _launch(self) -> None:
        assert self._thread is None, "it is running already"
        _route_logs()
        self.port = self.port or free_port()
        self.log_file = open(  # noqa: SIM115 - closed with the server
            self.beside.with_suffix(".log"), "a", buffering=1
        )
        self._serving.clear()
        self._thread = _ServerThread(self)
        self._thread.start()
        assert self._serving.wait(30), f"neither serving nor ended: {self.log()}"
        if self._loop is None:
            self._thread.join(30)

    def run(self) -> None:
        """Runs the server in the current thread until it stops."""
        arguments = ["--bind", f"127.0.0.1:{self.port}", "--store", str(self.store), *self.flags]
        # Tests may pass long flags with one dash.
        doubled = [f"-{word}" if word[:1] == "-" != word[1:2] else word for word in arguments]
        try:
            self._status = cli.run(doubled, self._variables(), self._serve)
        except SystemExit as end:
            self._status = int(end.code or 0)
        finally:
            self._loop = None
            self._serving.set()

    def _variables(self) -> dict[str, str]:
        return os.environ | CHEAP | self.environment

    def _serve(self, settings: Settings) -> int:
        assert settings.workers == 1, "several workers need a process: serve_process"
        return open_and_run(settings, self._variables(), self._work)

    def _work(self, settings: Settings, listeners: Listeners, prepared: PreparedStore) -> int:
        self._worker = make_server(settings, listeners, self._started, prepared)
        self._worker.run()
        return 0 if self._worker.application.finished else 1

    def _started(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._log_loop_error)
        self._serving.set()

    def _log_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Writes an exception of a callback or a task to the log, as a process would."""
        error = context.get("exception")
        text = "".join(traceback.format_exception(error)) if error is not None else ""
        if self.log_file is not None and not self.log_file.closed:
            self.log_file.write(f"{context['message']}\n{text}")

    def _join(self) -> int:
        if self._thread is None:
            return self._status
        self._thread.join(_MAX_STOP_SECONDS)
        assert not self._thread.is_alive(), f"it does not end: {self.log()}"
        self._thread = self._worker = None
        assert self.log_file is not None
        self.log_file.close()
        self.log_file = None
        return self._status


def serve_on(store: Path) -> Callable[..., LocalServer]:
    """Returns a function that starts a server on the file *store*, with its arguments as flags."""

    def start(*flags: str) -> LocalServer:
        return LocalServer(store, flags).start()

    return start


class _ServerThread(threading.Thread):
    """Runs a server. Its child threads inherit the attribute `headgate_server`."""

    def __init__(self, server: LocalServer) -> None:
        super().__init__(name=f"server {server.store.name}", daemon=True)
        self.headgate_server = server

    def run(self) -> None:
        self.headgate_server.run()


def _current() -> LocalServer | None:
    """Returns the server that the current thread belongs to, or None."""
    server: LocalServer | None = getattr(threading.current_thread(), "headgate_server", None)
    return server


class _Router(logging.Handler):
    """Writes each record to the log file of the server whose thread created it."""

    def emit(self, record: logging.LogRecord) -> None:
        server = _current()
        if server is None or server.log_file is None or server.log_file.closed:
            return
        if record.name == "headgate.access" and not server.logs_requests:
            return
        server.log_file.write(server.formatter.format(record) + "\n")


_ROUTER = _Router()
_configure_process_logs = logs.configure
_start_thread = threading.Thread.start


def _configure_logs(format: str, *, access: bool, timed: bool = False) -> None:
    """Replaces `logs.configure`: sets up the log of the current thread's server."""
    server = _current()
    if server is None:
        _configure_process_logs(format, access=access, timed=timed)
        return
    server.formatter = logs._Json() if format == "json" else logs._Text(timed=timed)
    server.logs_requests = access


def _start_in_server(thread: threading.Thread) -> None:
    """Replaces `Thread.start`: *thread* belongs to the server of the current thread."""
    server = _current()
    if server is not None and not isinstance(thread, _ServerThread):
        thread.headgate_server = server  # type: ignore[attr-defined]
    _start_thread(thread)


def _route_logs() -> None:
    """Replaces the log configuration of this process, so that each server has its own log."""
    logs.configure = _configure_logs
    threading.Thread.start = _start_in_server  # type: ignore[assignment,method-assign]
    logger = logging.getLogger("headgate")
    logger.handlers = [_ROUTER]
    logger.propagate = False
    logger.setLevel(logging.INFO)
    logging.getLogger("headgate.access").disabled = False
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    sys.setswitchinterval(_SWITCH_SECONDS)


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Sets *variables* in os.environ until the block ends."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
