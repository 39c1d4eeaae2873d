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

from headgate_server import logs, metrics
from headgate_server.serving.listeners import Listeners
from headgate_server.serving.tls import CertificateError
from headgate_server.serving.worker import GRACE_SECONDS, work
from headgate_server.settings import Settings

# Started anew, not forked: a store's connections must not cross a fork.
_SPAWN = multiprocessing.get_context("spawn")
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(slots=True)
class _Worker:
    process: SpawnProcess
    ear: Connection
    started: bool = False


class Supervisor:
    """Keeps the workers that *settings* ask for at work on *listeners*."""

    def __init__(self, settings: Settings, listeners: Listeners) -> None:
        self._settings = settings
        self._listeners = listeners
        self._workers: list[_Worker] = []

    def run(self) -> int:
        """Until SIGTERM or SIGINT; a worker that dies is replaced. The exit status: 1 if a worker
        cannot start.
        """
        waker, alarm = socket.socketpair()
        alarm.setblocking(False)
        for number in _SIGNALS:
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(alarm.fileno())
        try:
            for _ in range(self._settings.workers):
                self._start()
            while True:
                ends = [worker.process.sentinel for worker in self._workers]
                ears = [worker.ear for worker in self._workers if not worker.started]
                ready = wait([waker, *ends, *ears])
                if waker in ready and not self._obey(waker.recv(64)):
                    return 0
                if not self._look_after():
                    return 1
        finally:
            self._end()
            signal.set_wakeup_fd(-1)

    def _start(self) -> None:
        ear, mouth = _SPAWN.Pipe(duplex=True)
        process = _SPAWN.Process(
            target=_serve, args=(self._settings, self._listeners, mouth), name="headgate worker"
        )
        process.start()
        mouth.close()
        self._workers.append(_Worker(process, ear))

    def _obey(self, numbers: bytes) -> bool:
        """Whether to go on."""
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            return False
        for worker in self._workers:
            # One that has not started reads everything anew in any case.
            if worker.started and worker.process.pid is not None:
                os.kill(worker.process.pid, signal.SIGHUP)
        return True

    def _look_after(self) -> bool:
        """Notes who has started, replaces who has died. False if one cannot start."""
        for worker in list(self._workers):
            with suppress(EOFError, OSError):
                worker.started = worker.started or (worker.ear.poll() and worker.ear.recv())
            if worker.process.is_alive():
                continue
            pid, code = worker.process.pid, worker.process.exitcode
            metrics.forget(pid or 0)
            worker.ear.close()
            self._workers.remove(worker)
            if not worker.started and (code or 0) >= 0:  # not killed, it gave up
                logs.complain(f"a worker could not start (exit status {code})")
                return False
            logs.complain(f"worker {pid} ended (exit status {code}), starting another")
            self._start()
        return True

    def _end(self) -> None:
        for worker in self._workers:
            worker.process.terminate()
        deadline = time.monotonic() + GRACE_SECONDS + 5
        for worker in self._workers:
            worker.process.join(max(0, deadline - time.monotonic()))
            worker.process.kill()
            worker.process.join()


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
