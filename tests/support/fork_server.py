"""Imports `headgate` once, then forks a process for each request received over a socket.

    fork_server.py DESCRIPTOR       file descriptor of the socket

A request is the length of a JSON object, then the object. File descriptors are sent with the
length: the three standard streams, and a socket on which the process ID and the exit status are
returned. The fork server has one thread only, because a fork copies no other threads.
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

# Modules that `headgate` imports on demand, for each command.
import headgate_server.serving.websocket_protocol
import headgate_shell.cli
import headgate_shell.commands.import_file
from headgate import admin, configured_engine, serve, store, sync, token

_LOADED = (headgate_server, headgate_shell, uvicorn, uvloop)
_COMMANDS = (admin, configured_engine, serve, store, sync, token)


def fork_on_request(line: socket.socket) -> dict[str, Any] | None:
    """Handles requests from *line*: returns None once it is closed, else in each fork its request.

    *line* is the socket of the requests.
    """
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
                _send_exit_statuses(children)
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
                _set_up_process(request, descriptors)
                return request
            for descriptor in descriptors:
                os.close(descriptor)
            children[pid] = status
            with suppress(OSError):  # the test that sent the request has ended
                status.sendall(b"%d" % pid)


def _send_exit_statuses(children: dict[int, socket.socket]) -> None:
    """Sends the exit status of each ended process to the socket that *children* has for it."""
    while children:
        pid, code = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        with children.pop(pid) as status:
            try:
                status.sendall(b"%d" % os.waitstatus_to_exitcode(code))
            except OSError:
                pass  # the test that started it has ended


def _set_up_process(request: dict[str, Any], descriptors: list[int]) -> None:
    """Applies *request*: process group, environment, folder, arguments, and standard streams."""
    if request["own_group"]:
        os.setpgid(0, 0)
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.argv = ["headgate", *request["arguments"]]
    # As the interpreter opens them in a UTF-8 locale; standard error is flushed after each line.
    sys.stdin = _text_stream(0, "rb", "surrogateescape")
    sys.stdout = _text_stream(1, "wb", "surrogateescape")
    sys.stderr = _text_stream(2, "wb", "backslashreplace", line_buffering=True)
    # multiprocessing imports the main module of this process in each spawned worker.
    sys.modules["__main__"] = headgate.__main__


def _text_stream(
    number: int, mode: str, errors: str, *, line_buffering: bool = False
) -> io.TextIOWrapper:
    """Returns a UTF-8 text stream on the file descriptor *number*."""
    return io.TextIOWrapper(
        open(number, mode, closefd=False),
        encoding="utf-8",
        errors=errors,
        line_buffering=line_buffering or os.isatty(number),
    )


def _run() -> NoReturn:
    """Runs the command, and ends this process with the steps of the interpreter.

    It frees no objects: freeing those shared with the fork server would copy their memory.
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
