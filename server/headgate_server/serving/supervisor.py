"""Several worker processes on the same listeners: started, watched, ended. Knows multiprocessing.

uvicorn has one too; its workers outlive it if it is killed, and it ends with 0 if they cannot
start.
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

# Started anew, not forked: a store's connections must not cross a fork.
_SPAWN = multiprocessing.get_context("spawn")
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_ENDING = (signal.SIGTERM, signal.SIGINT)
_SIGNALS = (*_ENDING, signal.SIGHUP)


@dataclass(slots=True)
class _Worker:
    process: SpawnProcess
    ear: Connection
    started: bool = False
    behind: bool = False  # told to read its configuration again before it could hear


class Supervisor:
    """Keeps the workers that *settings* ask for at work on *listeners*."""

    def __init__(self, settings: Settings, listeners: Listeners) -> None:
        self._settings = settings
        self._listeners = listeners
        self._workers: list[_Worker] = []
        self._any_started = False
        self._pause = _SHORTEST_PAUSE
        self._next_try = 0.0  # by the monotonic clock

    def run(self) -> int:
        """Until SIGTERM or SIGINT; a worker that dies is replaced. The exit status: 1 if none of
        the first workers can start, or if something had to be broken off at the end.
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
        """Seconds until another try to start a worker is due; None if all are there."""
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
        """Whether to go on."""
        if set(numbers) & set(_ENDING):
            return False
        self._read_again()
        for worker in self._workers:
            worker.behind = True
            self._catch_up(worker)
        return True

    def _read_again(self) -> None:
        """Keeps what is right now for whoever starts later, when the file may be wrong."""
        try:
            self._settings = configure_again(self._settings, os.environ)
        except ConfigurationError:
            pass  # the workers say so
        except Exception as error:  # no reason to end them all
            logs.report(error, "")

    def _catch_up(self, worker: _Worker) -> None:
        """Has it read its configuration again, if it is behind and can hear."""
        if worker.behind and worker.started and worker.process.pid is not None:
            worker.behind = False
            os.kill(worker.process.pid, signal.SIGHUP)

    def _look_after(self) -> bool:
        """Notes who has started, replaces who has died. False if nobody ever started."""
        for worker in list(self._workers):
            with suppress(EOFError, OSError):
                if not worker.started and worker.ear.poll():
                    worker.started = self._any_started = bool(worker.ear.recv())
                    self._pause = _SHORTEST_PAUSE
                    self._catch_up(worker)
            if not worker.process.is_alive():
                self._bury(worker)
                if not self._any_started and (worker.process.exitcode or 0) > 0:
                    return False  # it gave up, and so would the next one
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
        # The others serve on; whatever is in its way may go away.
        self._next_try = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def _end(self, waker: socket.socket) -> int:
        """Lets the workers finish, unless they take too long or a second signal comes; then 1."""
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
    """What a worker process does."""
    threading.Thread(target=_end_with_parent, args=(mouth,), daemon=True).start()
    try:
        work(settings, listeners, lambda: mouth.send(True))
    except CertificateError as error:
        logs.complain(str(error))
        raise SystemExit(1) from None


def _end_with_parent(mouth: Connection) -> None:
    """The other end closes when the parent is gone, however that came about."""
    with suppress(EOFError, OSError):
        mouth.recv()
    os.kill(os.getpid(), signal.SIGTERM)
