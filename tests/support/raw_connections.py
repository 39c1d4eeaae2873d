"""Talking to a server byte by byte."""

import socket
from contextlib import closing

from support.servers import Server


def connected(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def conversation(server: Server, *sent: bytes) -> bytes:
    """All that the server says until it closes the connection."""
    with closing(connected(server)) as line:
        for part in sent:
            line.sendall(part)
        return heard(line)


def heard(line: socket.socket) -> bytes:
    answer = b""
    try:
        while part := line.recv(65536):
            answer += part
    except ConnectionResetError:
        pass
    return answer


def read_until(line: socket.socket, wanted: bytes, times: int = 1) -> bytes:
    """All that was read; the connection stays open behind it: it is not read to its end."""
    answer = b""
    while answer.count(wanted) < times:
        part = line.recv(65536)
        assert part, answer
        answer += part
    return answer


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])
