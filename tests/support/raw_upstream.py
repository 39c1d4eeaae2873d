"""An upstream store whose responses a test writes as bytes: malformed, delayed, or none."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from headgate_server.upstream.probe import PROBE_TENANT_PREFIX

Answering = Callable[[socket.socket, bytes], None]


@dataclass
class RawUpstream:
    """Reads one request from each connection, then calls *answer* with socket and request."""

    answer: Answering
    url: str = ""
    requests: list[bytes] = field(default_factory=list)


@contextmanager
def raw_upstream(answer: Answering) -> Iterator[RawUpstream]:
    """Runs a RawUpstream with *answer* until the block ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.1)
    record = RawUpstream(answer, f"http://127.0.0.1:{listener.getsockname()[1]}")
    ending = threading.Event()
    threads: list[threading.Thread] = []

    def converse(line: socket.socket) -> None:
        with line:
            line.settimeout(20)
            try:
                request = whole(line)
                if PROBE_TENANT_PREFIX.encode() in request or b"/walreplay" in request:
                    # Probes that Headgate sends at its start.
                    line.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                elif request:
                    record.requests.append(request)
                    record.answer(line, request)
            except OSError:
                return

    def accept() -> None:
        while not ending.is_set():
            try:
                line, _ = listener.accept()
            except TimeoutError:
                continue
            threads.append(threading.Thread(target=converse, args=(line,)))
            threads[-1].start()

    threads.append(threading.Thread(target=accept))
    threads[0].start()
    try:
        yield record
    finally:
        ending.set()
        threads[0].join()
        listener.close()
        for thread in threads[1:]:
            thread.join(20)


def whole(line: socket.socket) -> bytes:
    """Reads a request with its body from *line* and returns it.

    If the connection ends earlier, returns the incomplete head, or b"" for an incomplete body.
    """
    request = b""
    while b"\r\n\r\n" not in request:
        part = line.recv(65536)
        if not part:
            return request
        request += part
    head, _, body = request.partition(b"\r\n\r\n")
    lower = head.lower()
    if b"transfer-encoding: chunked" in lower:
        while not body.endswith(b"0\r\n\r\n"):
            part = line.recv(65536)
            if not part:
                return b""
            body += part
    elif b"content-length:" in lower:
        length = int(lower.split(b"content-length:")[1].split(b"\r\n")[0])
        while len(body) < length:
            part = line.recv(65536)
            if not part:
                return b""
            body += part
    return head + b"\r\n\r\n" + body
