"""Imports the program once, then forks a process for each request that comes over a socket.

    fork_server.py DESCRIPTOR       the socket's

A request is the length of a JSON object, with the descriptors of three streams and of a socket for
the pid and the exit status, then the object. Has one thread only, as a fork needs it.
"""

import atexit
import gc
import io
import json
import os
import selectors
import signal
import socket
import sys
import threading
import traceback
from contextlib import suppress
from typing import Any, NoReturn

import uvicorn.lifespan.on
import uvloop

import headgate.__main__

# What `headgate` imports late, each command its own.
import headgate_server.serving.websocket_protocol
import headgate_shell.cli
import headgate_shell.commands.import_file
from headgate import admin, configured_engine, serve, store, sync, token

_LOADED = (headgate_server, headgate_shell, uvicorn, uvloop)
_COMMANDS = (admin, configured_engine, serve, store, sync, token)


def fork_on_request(line: socket.socket) -> dict[str, Any] | None:
    """Serves until the other end closes *line*. Returns in each forked process its request."""
    children: dict[int, socket.socket] = {}
    waker, alarm = socket.socketpair()
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    selector = selectors.DefaultSelector()
    selector.register(line, selectors.EVENT_READ)
    selector.register(alarm, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is alarm:
                alarm.recv(4096)
                _tell(children)
                continue
            head, descriptors, _, _ = socket.recv_fds(line, 16, 4)
            if not head:
                return None
            content = b""
            while len(content) < int(head):
                content += line.recv(int(head) - len(content))
            request: dict[str, Any] = json.loads(content.decode("utf-8", "surrogateescape"))
            status = socket.socket(fileno=descriptors.pop())
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                selector.close()
                for one in (line, waker, alarm, status, *children.values()):
                    one.close()
                _become(request, descriptors)
                return request
            for descriptor in descriptors:
                os.close(descriptor)
            children[pid] = status
            with suppress(OSError):  # the test that asked for it has ended
                status.sendall(b"%d" % pid)


def _tell(children: dict[int, socket.socket]) -> None:
    """Sends the status of each process that has ended."""
    while children:
        pid, code = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        with children.pop(pid) as status:
            try:
                status.sendall(b"%d" % os.waitstatus_to_exitcode(code))
            except OSError:
                pass  # the test that started it has ended


def _become(request: dict[str, Any], descriptors: list[int]) -> None:
    """Makes of a fork the process that *request* describes."""
    if request["own_group"]:
        os.setpgid(0, 0)
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.argv = ["headgate", *request["arguments"]]
    # As the interpreter opens them in a UTF-8 locale; standard error has its lines at once.
    sys.stdin = _text(0, "rb", "surrogateescape")
    sys.stdout = _text(1, "wb", "surrogateescape")
    sys.stderr = _text(2, "wb", "backslashreplace", at_once=True)
    # Worker processes are spawned with what is the main module here.
    sys.modules["__main__"] = headgate.__main__


def _text(number: int, mode: str, errors: str, *, at_once: bool = False) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        open(number, mode, closefd=False),
        encoding="utf-8",
        errors=errors,
        line_buffering=at_once or os.isatty(number),
    )


def _run() -> NoReturn:
    """Runs the command, and ends this process as the interpreter does.

    It frees no objects: to free those that a fork shares would copy them all.
    """
    try:
        status = headgate.__main__.main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    gc.freeze()
    if fork_on_request(socket.socket(fileno=int(sys.argv[1]))) is not None:
        _run()
