"""The server under systemd: states, signs of life, sockets that it takes over, a slow stop."""

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headgate_server.serving.supervisor import _say_alive
from support.server_process import ServerProcess
from support.waiting import poll_until


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket on which systemd would receive states."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(tmp_path / "notify"))
        line.settimeout(20)
        yield line


def next_state(manager: socket.socket, kind: str) -> str:
    """Returns the next state that begins with *kind*; drops those before it."""
    while True:
        text = manager.recv(1000).decode()
        if text.startswith(kind):
            return text


@pytest.mark.parametrize("workers", ["1", "2"])
def test_systemd_learns_of_each_state(
    serve_process: Callable[..., ServerProcess], manager: socket.socket, workers: str
) -> None:
    server = serve_process(
        *("--workers", workers), NOTIFY_SOCKET=manager.getsockname(), WATCHDOG_USEC="400000"
    )
    assert server.process is not None
    assert next_state(manager, "READY=1") == "READY=1\nSTATUS=ready"
    assert server.request("GET", "/ping").status == 204, "ready is ready"
    for _ in range(3):
        next_state(manager, "WATCHDOG=1")
    os.kill(server.process.pid, signal.SIGHUP)
    assert "MONOTONIC_USEC=" in next_state(manager, "RELOADING=1")
    next_state(manager, "READY=1")
    os.kill(server.process.pid, signal.SIGTERM)
    next_state(manager, "STOPPING=1")


def test_a_worker_that_hangs_ends_the_signs_of_life(
    serve_process: Callable[..., ServerProcess], manager: socket.socket
) -> None:
    server = serve_process(
        *("--workers", "2"), NOTIFY_SOCKET=manager.getsockname(), WATCHDOG_USEC="3000000"
    )
    next_state(manager, "WATCHDOG=1")
    worker = min(server.workers())
    os.kill(worker, signal.SIGSTOP)
    try:
        manager.settimeout(6)
        with pytest.raises(TimeoutError):
            for _ in range(5):
                next_state(manager, "WATCHDOG=1")
    finally:
        os.kill(worker, signal.SIGCONT)
    manager.settimeout(20)
    next_state(manager, "WATCHDOG=1")


# Starts `headgate serve` with the descriptors that are given, as systemd does.
AS_SYSTEMD = """
import os, sys
count = int(sys.argv[1])
for number, text in enumerate(sys.argv[2 : 2 + count]):
    os.dup2(int(text), 100 + number)
for number in range(count):
    os.dup2(100 + number, 3 + number)
    os.set_inheritable(3 + number, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(count))
os.execv(sys.executable, [sys.executable, "-m", "headgate", *sys.argv[2 + count :]])
"""


def started_as_by_systemd(
    sockets: list[socket.socket], store: Path, *flags: str
) -> subprocess.Popen[str]:
    numbers = [str(one.fileno()) for one in sockets]
    command = [sys.executable, "-c", AS_SYSTEMD, str(len(numbers)), *numbers]
    return subprocess.Popen(
        [*command, "serve", "--store", str(store), *flags],
        pass_fds=[one.fileno() for one in sockets],
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sockets_of_systemd_are_taken_over_and_stay(tmp_path: Path, workers: str) -> None:
    path = tmp_path / "headgate.sock"
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(path))
        unix.listen()
        flags = ("--bind", "127.0.0.1:1", "--workers", workers)
        server = started_as_by_systemd([tcp, unix], tmp_path / "users.db", *flags)
        try:
            for family, address in (
                (socket.AF_INET, tcp.getsockname()),
                (socket.AF_UNIX, str(path)),
            ):
                with socket.socket(family) as client:
                    client.settimeout(30)
                    client.connect(address)
                    client.sendall(b"GET /ping HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
                    assert client.recv(12) == b"HTTP/1.1 204"
        finally:
            server.terminate()
            _, log = server.communicate(timeout=60)
        assert server.returncode == 0
        assert f"listening on http://127.0.0.1:{tcp.getsockname()[1]} and {path}" in log
        assert path.exists(), "it belongs to systemd"


def test_a_socket_for_all_networks_is_exposed_whatever_the_setting_says(tmp_path: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as tcp:  # noqa: S104 - it is for this test
        server = started_as_by_systemd([tcp], tmp_path / "users.db", "--bind", "127.0.0.1:1")
        try:
            with socket.create_connection(("127.0.0.1", tcp.getsockname()[1]), 30) as client:
                client.sendall(b"GET /console/ HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
                assert client.recv(12) == b"HTTP/1.1 404", "no console without TLS"
        finally:
            server.terminate()
            _, log = server.communicate(timeout=60)
        assert "passwords and tokens cross the network in the clear: 0.0.0.0:" in log
        file = tmp_path / "headgate.toml"
        file.write_text("[http]\nallow-insecure = false\n")
        flags = ("--bind", "127.0.0.1:1", "--config", str(file))
        server = started_as_by_systemd([tcp], tmp_path / "other.db", *flags)
        _, log = server.communicate(timeout=60)
        assert server.returncode == 1 and "allow-insecure" in log
        assert not (tmp_path / "other.db").exists()


def test_other_sockets_are_refused_in_one_line(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        server = started_as_by_systemd([udp], tmp_path / "users.db")
        _, log = server.communicate(timeout=60)
    assert server.returncode == 1
    assert "cannot use the sockets of systemd: expected ListenStream once for TCP" in log


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_that_ends_says_so_and_still_answers(
    serve_process: Callable[..., ServerProcess], tmp_path: Path, workers: str
) -> None:
    configuration = tmp_path / "headgate.toml"
    configuration.write_text('[http]\nshutdown-delay = "60s"\n')
    server = serve_process("--config", str(configuration), "--workers", workers).bootstrap()
    assert server.process is not None
    assert server.request("GET", "/health").status == 200
    os.kill(server.process.pid, signal.SIGTERM)

    def fails() -> bool:
        answer = server.request("GET", "/health")
        return answer.status == 503 and b"stopping" in answer.body

    poll_until(fails, "/health does not fail")
    assert server.request("GET", "/ping").status == 204
    assert server.query("SHOW DATABASES").status == 200
    os.kill(server.process.pid, signal.SIGTERM)  # again: at once
    assert server.process.wait(30) is not None


def test_the_delay_of_a_stop_ends_by_itself(
    serve_process: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    configuration = tmp_path / "headgate.toml"
    configuration.write_text('[http]\nshutdown-delay = "1s"\n')
    server = serve_process("--config", str(configuration)).bootstrap()
    assert server.stop() == 0


def test_a_signal_to_all_processes_ends_them_as_one_to_the_first(
    serve_process: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    """Some managers signal each process, and the supervisor signals its workers, too."""
    configuration = tmp_path / "headgate.toml"
    configuration.write_text('[http]\nshutdown-delay = "2s"\n')
    server = serve_process("--config", str(configuration), "--workers", "3").bootstrap()
    assert server.process is not None
    began = time.monotonic()
    os.killpg(server.process.pid, signal.SIGTERM)
    assert server.process.wait(30) == 0
    assert time.monotonic() - began >= 2


def test_a_supervisor_that_is_stuck_stops_no_worker() -> None:
    one, other = multiprocessing.Pipe()
    with one, other:
        for _ in range(2000):  # more than a pipe takes
            _say_alive(one)
        assert other.poll()
