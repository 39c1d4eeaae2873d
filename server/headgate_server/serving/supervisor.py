"""Starts, watches and ends the worker processes, which share the listening sockets.

If the supervisor is killed, its workers end. If no worker can start, the exit status is 1.
"""

import multiprocessing
import os
import select
import signal
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from headgate_engine import PositionSlot
from headgate_server.config.loader import ConfigurationError
from headgate_server.config.settings import Settings
from headgate_server.serving.listeners import Listeners
from headgate_server.serving.service_manager import ServiceManager
from headgate_server.serving.shutdown import GRACE_SECONDS
from headgate_server.serving.thread_stacks import block_stack_signals
from headgate_server.serving.tls import CertificateError
from headgate_server.serving.worker import run_worker
from headgate_server.telemetry import logging as logs
from headgate_server.telemetry import metrics
from headgate_server.validation.configuration import reload_settings

# Spawned, not forked: a store's connections must not cross a fork.
_SPAWN = multiprocessing.get_context("spawn")
_MIN_BACKOFF_SECONDS, _MAX_BACKOFF_SECONDS = 0.5, 30.0
# A worker gives a sign of life once a second.
_FRESH_SECONDS = 2.5
_END_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_SIGNALS = (*_END_SIGNALS, signal.SIGHUP)


@dataclass(slots=True)
class _Worker:
    process: SpawnProcess
    parent_pipe: Connection
    slot: PositionSlot | None
    started: bool = False
    alive_at: float = 0.0  # when it last said so, by the monotonic clock
    needs_reload: bool = False  # has to reload its configuration once it has started


class Supervisor:
    """Starts, watches and replaces the workers that *settings* require, on *listeners*.

    *manager* is told of the state. It gets signs of life only while all workers give them.
    """

    def __init__(self, settings: Settings, listeners: Listeners, manager: ServiceManager) -> None:
        self._settings, self._manager = settings, manager
        self._listeners = listeners
        self._workers: list[_Worker] = []
        # How far each worker has come in a store that several machines share.
        self._positions = (
            _SPAWN.RawArray("q", settings.workers) if settings.is_store_shared else None
        )
        self._any_started = self._is_ready = False
        self._backoff_seconds = _MIN_BACKOFF_SECONDS
        self._next_start = 0.0  # by the monotonic clock

    def run(self) -> int:
        """Runs until SIGTERM or SIGINT, and replaces workers that die. Returns the exit status.

        The status is 1 if none of the first workers can start, or if requests were aborted at the
        end.
        """
        signal_reader, signal_writer = socket.socketpair()
        signal_writer.setblocking(False)
        signal.set_wakeup_fd(signal_writer.fileno())
        for number in _SIGNALS:
            signal.signal(number, lambda *_: None)
        try:
            status = self._watch(signal_reader)
            return max(status, self._end(signal_reader))
        finally:
            signal.set_wakeup_fd(-1)

    def _watch(self, signal_reader: socket.socket) -> int:
        """Runs the workers. Returns 0 after a signal to end, 1 if no worker could start."""
        for _ in range(self._settings.workers):
            self._start()
        while True:
            ends = [worker.process.sentinel for worker in self._workers]
            pipes = [worker.parent_pipe for worker in self._workers]
            ready = wait([signal_reader, *ends, *pipes], self._seconds_until_start())
            if signal_reader in ready and not self._handle_signals(signal_reader.recv(64)):
                return 0
            if not self._check_workers():
                return 1

    def _seconds_until_start(self) -> float | None:
        """Returns the seconds until the next attempt to start a worker; None if all exist."""
        if len(self._workers) == self._settings.workers:
            return None
        return max(0.0, self._next_start - time.monotonic())

    def _start(self) -> None:
        parent_pipe, child_pipe = _SPAWN.Pipe(duplex=True)
        slot = self._free_slot()
        process = _SPAWN.Process(
            target=_worker_main,
            args=(replace(self._settings, position_slot=slot), self._listeners, child_pipe),
            name="headgate worker",
        )
        with block_stack_signals():
            process.start()
        child_pipe.close()
        self._workers.append(_Worker(process, parent_pipe, slot))

    def _free_slot(self) -> PositionSlot | None:
        """Returns a slot that no worker has, or None if the workers need none."""
        if self._positions is None:
            return None
        used = {worker.slot.number for worker in self._workers if worker.slot is not None}
        number = next(it for it in range(len(self._positions)) if it not in used)
        return PositionSlot(self._positions, number)

    def _handle_signals(self, numbers: bytes) -> bool:
        """Handles the received signals: each byte of *numbers* is the number of a signal.

        Returns False after SIGTERM or SIGINT. Otherwise reloads the settings, as SIGHUP requires.
        """
        if set(numbers) & set(_END_SIGNALS):
            self._manager.stopping()
            return False
        self._manager.reloading()
        self._reload_settings()
        for worker in self._workers:
            worker.needs_reload = True
            self._reload_worker(worker)
        if self._is_ready:
            self._manager.ready()
        return True

    def _reload_settings(self) -> None:
        """Reloads the settings for workers that start later. Keeps the old ones if invalid.

        The file is read now, because it may be invalid when a worker starts.
        """
        try:
            self._settings = reload_settings(self._settings, os.environ)
        except ConfigurationError:
            pass  # the workers log it
        except Exception as error:  # the workers go on
            logs.log_internal_error(error, "")

    def _reload_worker(self, worker: _Worker) -> None:
        """Makes *worker* reload its configuration, if a reload is due and *worker* has started."""
        if worker.needs_reload and worker.started and worker.process.pid is not None:
            worker.needs_reload = False
            os.kill(worker.process.pid, signal.SIGHUP)

    def _check_workers(self) -> bool:
        """Updates the workers' states, and replaces dead workers.

        Returns False if a worker has failed before any worker had started.
        """
        for worker in list(self._workers):
            with suppress(EOFError, OSError):
                while worker.parent_pipe.poll():
                    worker.parent_pipe.recv()
                    self._note_life(worker)
            if not worker.process.is_alive():
                self._remove_worker(worker)
                if not self._any_started and (worker.process.exitcode or 0) > 0:
                    return False  # the next one would fail, too
        missing = self._settings.workers - len(self._workers)
        if missing and time.monotonic() >= self._next_start:
            for _ in range(missing):
                self._start()
        return True

    def _note_life(self, worker: _Worker) -> None:
        """Notes that *worker* works. The first time, it has just started."""
        worker.alive_at = time.monotonic()
        if not worker.started:
            worker.started = self._any_started = True
            self._backoff_seconds = _MIN_BACKOFF_SECONDS
            self._reload_worker(worker)
            if not self._is_ready and all(one.started for one in self._workers):
                self._is_ready = True
                self._manager.ready()
        pause = self._manager.watchdog_pause
        if self._is_ready and pause is not None:
            oldest = worker.alive_at - max(pause, _FRESH_SECONDS)
            if all(one.alive_at >= oldest for one in self._workers if one.started):
                self._manager.sign_of_life()

    def _remove_worker(self, worker: _Worker) -> None:
        pid, code = worker.process.pid, worker.process.exitcode
        metrics.remove_worker(pid or 0)
        if worker.slot is not None:
            worker.slot.clear()
        worker.parent_pipe.close()
        self._workers.remove(worker)
        metrics.count_restart()
        if worker.started:
            logs.log_error(f"worker {pid} ended (exit status {code}), starting another")
            return
        logs.log_error(f"a worker could not start (exit status {code})")
        # The other workers go on. The next attempt waits (back-off): the cause may be temporary.
        self._next_start = time.monotonic() + self._backoff_seconds
        self._backoff_seconds = min(2 * self._backoff_seconds, _MAX_BACKOFF_SECONDS)

    def _end(self, signal_reader: socket.socket) -> int:
        """Ends the workers. Returns 1 if requests were aborted, else 0.

        Requests are aborted at the deadline, or at a second signal.
        """
        for worker in self._workers:
            worker.process.terminate()
        deadline = time.monotonic() + self._settings.shutdown_delay + GRACE_SECONDS + 10
        while alive := [w.process.sentinel for w in self._workers if w.process.is_alive()]:
            ready = wait([signal_reader, *alive], max(0.0, deadline - time.monotonic()))
            if not ready or (
                signal_reader in ready and set(signal_reader.recv(64)) & set(_END_SIGNALS)
            ):
                break
        for worker in self._workers:
            worker.process.kill()
            worker.process.join()
        aborted_codes = (1, -signal.SIGKILL)
        return int(any(worker.process.exitcode in aborted_codes for worker in self._workers))


def _worker_main(settings: Settings, listeners: Listeners, child_pipe: Connection) -> None:
    """Runs a worker in its own process. Reports its start through *child_pipe*."""
    threading.Thread(target=_end_with_parent, args=(child_pipe,), daemon=True).start()
    try:
        run_worker(settings, listeners, alive=partial(_say_alive, child_pipe))
    except CertificateError as error:
        logs.log_error(str(error))
        raise SystemExit(1) from None


def _say_alive(child_pipe: Connection) -> None:
    """Sends a sign of life, unless the supervisor is stuck or stops: nothing waits for it."""
    with suppress(OSError):  # the supervisor has ended: `_end_with_parent` ends this process
        poll = select.poll()
        poll.register(child_pipe.fileno(), select.POLLOUT)
        if poll.poll(0):
            child_pipe.send(True)


def _end_with_parent(child_pipe: Connection) -> None:
    """Ends this process once *child_pipe* is closed at its other end: the supervisor has ended."""
    with suppress(EOFError, OSError):
        child_pipe.recv()
    os.kill(os.getpid(), signal.SIGTERM)
