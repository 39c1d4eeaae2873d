"""Worker processes on shared listeners: started, watched, ended. Uses multiprocessing.

uvicorn's own supervisor has two faults: its workers outlive it if it is killed, and it exits with 0
if they cannot start.
"""

import multiprocessing
import os
import signal
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from headgate_server.config.loader import ConfigurationError
from headgate_server.config.settings import Settings
from headgate_server.serving.listeners import Listeners
from headgate_server.serving.thread_stacks import held_back
from headgate_server.serving.tls import CertificateError
from headgate_server.serving.worker import GRACE_SECONDS, work
from headgate_server.telemetry import logging as logs
from headgate_server.telemetry import metrics
from headgate_server.validation.configuration import configure_again

# Spawned, not forked: a store's connections must not cross a fork.
_SPAWN = multiprocessing.get_context("spawn")
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_ENDING = (signal.SIGTERM, signal.SIGINT)
_SIGNALS = (*_ENDING, signal.SIGHUP)


@dataclass(slots=True)
class _Worker:
    process: SpawnProcess
    ear: Connection
    started: bool = False
    behind: bool = False  # has to reload its configuration once it has started


class Supervisor:
    """Starts, watches and replaces the workers that *settings* require, on *listeners*."""

    def __init__(self, settings: Settings, listeners: Listeners) -> None:
        self._settings = settings
        self._listeners = listeners
        self._workers: list[_Worker] = []
        self._any_started = False
        self._pause = _SHORTEST_PAUSE
        self._next_try = 0.0  # by the monotonic clock

    def run(self) -> int:
        """Runs until SIGTERM or SIGINT, and replaces workers that die. Returns the exit status.

        The status is 1 if none of the first workers can start, or if requests were aborted at the
        end.
        """
        waker, alarm = socket.socketpair()
        alarm.setblocking(False)
        signal.set_wakeup_fd(alarm.fileno())
        for number in _SIGNALS:
            signal.signal(number, lambda *_: None)
        try:
            status = self._watch(waker)
            return max(status, self._end(waker))
        finally:
            signal.set_wakeup_fd(-1)

    def _watch(self, waker: socket.socket) -> int:
        for _ in range(self._settings.workers):
            self._start()
        while True:
            ends = [worker.process.sentinel for worker in self._workers]
            ears = [worker.ear for worker in self._workers if not worker.started]
            ready = wait([waker, *ends, *ears], self._until_next())
            if waker in ready and not self._obey(waker.recv(64)):
                return 0
            if not self._look_after():
                return 1

    def _until_next(self) -> float | None:
        """Returns the seconds until the next attempt to start a worker; None if all exist."""
        if len(self._workers) == self._settings.workers:
            return None
        return max(0.0, self._next_try - time.monotonic())

    def _start(self) -> None:
        ear, mouth = _SPAWN.Pipe(duplex=True)
        process = _SPAWN.Process(
            target=_serve, args=(self._settings, self._listeners, mouth), name="headgate worker"
        )
        with held_back():
            process.start()
        mouth.close()
        self._workers.append(_Worker(process, ear))

    def _obey(self, numbers: bytes) -> bool:
        """Handles the signals *numbers*. Returns False if the server has to end."""
        if set(numbers) & set(_ENDING):
            return False
        self._read_again()
        for worker in self._workers:
            worker.behind = True
            self._catch_up(worker)
        return True

    def _read_again(self) -> None:
        """Reloads valid settings for workers that start later, when the file may be invalid."""
        try:
            self._settings = configure_again(self._settings, os.environ)
        except ConfigurationError:
            pass  # the workers log it
        except Exception as error:  # the workers go on
            logs.report(error, "")

    def _catch_up(self, worker: _Worker) -> None:
        """Makes *worker* reload its configuration, if that is due and it has started."""
        if worker.behind and worker.started and worker.process.pid is not None:
            worker.behind = False
            os.kill(worker.process.pid, signal.SIGHUP)

    def _look_after(self) -> bool:
        """Updates the workers' states and replaces dead workers. Returns False if none ever
        started.
        """
        for worker in list(self._workers):
            with suppress(EOFError, OSError):
                if not worker.started and worker.ear.poll():
                    worker.started = self._any_started = bool(worker.ear.recv())
                    self._pause = _SHORTEST_PAUSE
                    self._catch_up(worker)
            if not worker.process.is_alive():
                self._bury(worker)
                if not self._any_started and (worker.process.exitcode or 0) > 0:
                    return False  # the next one would fail, too
        missing = self._settings.workers - len(self._workers)
        if missing and time.monotonic() >= self._next_try:
            for _ in range(missing):
                self._start()
        return True

    def _bury(self, worker: _Worker) -> None:
        pid, code = worker.process.pid, worker.process.exitcode
        metrics.forget(pid or 0)
        worker.ear.close()
        self._workers.remove(worker)
        if worker.started:
            logs.complain(f"worker {pid} ended (exit status {code}), starting another")
            return
        logs.complain(f"a worker could not start (exit status {code})")
        # The others go on serving. The next attempt waits (back-off): the cause may be temporary.
        self._next_try = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def _end(self, waker: socket.socket) -> int:
        """Ends the workers. Returns 1 if requests were aborted: at the deadline, or by a second
        signal.
        """
        for worker in self._workers:
            worker.process.terminate()
        deadline = time.monotonic() + GRACE_SECONDS + 10
        while alive := [w.process.sentinel for w in self._workers if w.process.is_alive()]:
            ready = wait([waker, *alive], max(0.0, deadline - time.monotonic()))
            if not ready or (waker in ready and set(waker.recv(64)) & set(_ENDING)):
                break
        for worker in self._workers:
            worker.process.kill()
            worker.process.join()
        broken_off = (1, -signal.SIGKILL)
        return int(any(worker.process.exitcode in broken_off for worker in self._workers))


def _serve(settings: Settings, listeners: Listeners, mouth: Connection) -> None:
    """Runs a worker process."""
    threading.Thread(target=_end_with_parent, args=(mouth,), daemon=True).start()
    try:
        work(settings, listeners, lambda: mouth.send(True))
    except CertificateError as error:
        logs.complain(str(error))
        raise SystemExit(1) from None


def _end_with_parent(mouth: Connection) -> None:
    """Ends this process when the parent has ended: then the other end of the pipe is closed."""
    with suppress(EOFError, OSError):
        mouth.recv()
    os.kill(os.getpid(), signal.SIGTERM)
