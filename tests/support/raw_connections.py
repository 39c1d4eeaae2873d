"""Sends and reads raw bytes over a TCP connection to a server."""

import socket
from contextlib import closing

from support.servers import Server


def connected(server: Server) -> socket.socket:
    """Returns a new connection to *server*."""
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def conversation(server: Server, *sent: bytes) -> bytes:
    """Sends the parts *sent* over one connection; returns all bytes until the server closes it."""
    with closing(connected(server)) as line:
        for part in sent:
            line.sendall(part)
        return heard(line)


def heard(line: socket.socket) -> bytes:
    """Returns all bytes from the connection *line* until the peer closes or resets it."""
    answer = b""
    try:
        while part := line.recv(65536):
            answer += part
    except ConnectionResetError:
        pass
    return answer


def read_until(line: socket.socket, wanted: bytes, times: int = 1) -> bytes:
    """Reads until the bytes *wanted* have occurred *times* times; returns all bytes read."""
    answer = b""
    while answer.count(wanted) < times:
        part = line.recv(65536)
        assert part, answer
        answer += part
    return answer


def status(answer: bytes) -> int:
    """Returns the status code of the HTTP response *answer*."""
    return int(answer.split(b" ", 2)[1])
