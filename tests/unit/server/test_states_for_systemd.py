"""What is sent to systemd, and which sockets are taken over, without a process."""

import errno
import os
import socket
from pathlib import Path

import pytest

from headgate_server.config.settings import Settings
from headgate_server.serving.listeners import ListenError, listen
from headgate_server.serving.service_manager import ServiceManager, inherited_sockets
from headgate_server.telemetry.metrics_folder import add_restart
from headgate_server.telemetry.process_metrics import ServerProcessCollector, is_of_this_server


def received(line: socket.socket) -> list[str]:
    line.setblocking(False)
    found = []
    while True:
        try:
            found.append(line.recv(1000).decode())
        except BlockingIOError:
            return found


def test_each_state_is_one_datagram(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(tmp_path / "notify"))
        manager = ServiceManager(
            {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "10000000"}
        )
        assert manager.watchdog_pause == 5.0
        manager.ready()
        manager.reloading()
        manager.sign_of_life()
        manager.sign_of_life()  # not due yet
        manager.stopping()
        ready, reloading, alive, stopping = received(line)
    assert ready == "READY=1\nSTATUS=ready" and alive == "WATCHDOG=1"
    assert reloading.startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert stopping == "STOPPING=1\nSTATUS=stopping"
    manager.ready()  # systemd is away: nothing happens


def test_an_address_that_is_no_file_begins_with_an_at_sign() -> None:
    name = f"headgate-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(f"\0{name}")
        ServiceManager({"NOTIFY_SOCKET": f"@{name}"}).ready()
        assert received(line) == ["READY=1\nSTATUS=ready"]


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": "x"},
        {"WATCHDOG_USEC": "\u00b2"},
        {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"},
    ],
)
def test_without_a_watchdog_no_sign_is_sent(environment: dict[str, str]) -> None:
    manager = ServiceManager(environment)
    assert manager.watchdog_pause is None
    manager.sign_of_life()
    manager.ready()


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_FDS": "1", "LISTEN_PID": "1"},
        {"LISTEN_FDS": "\u00b2", "LISTEN_PID": str(os.getpid())},
        {"LISTEN_FDS": "", "LISTEN_PID": str(os.getpid())},
    ],
)
def test_sockets_for_another_process_are_not_taken(environment: dict[str, str]) -> None:
    assert inherited_sockets(environment) == []


def test_one_tcp_socket_and_one_unix_socket_are_taken(tmp_path: Path) -> None:
    settings = Settings(bind_address="127.0.0.1:1")
    path = str(tmp_path / "socket")
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as unix,
        socket.socket(socket.AF_UNIX) as abstract,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
    ):
        unix.bind(path)
        abstract.bind(f"\0headgate-test-{os.getpid()}-2")
        assert listen(settings, [tcp]).addresses("http").endswith(str(tcp.getsockname()[1]))
        assert listen(settings, [unix, tcp]).addresses("http").endswith(f" and {path}")
        named = listen(settings, [tcp, abstract]).addresses("http")
        assert named.endswith(f" and @headgate-test-{os.getpid()}-2")
        for sockets in ([unix], [tcp, tcp], [tcp, unix, abstract], [tcp, udp], [udp]):
            with pytest.raises(ListenError, match="ListenStream once for TCP"):
                listen(settings, sockets)
        listeners = listen(settings, [tcp, unix])
        listeners.close()
    assert os.path.exists(path), "it belongs to systemd"


def test_metrics_of_processes_are_added_up() -> None:
    def values(*pids: int) -> dict[str, float]:
        found = ServerProcessCollector(lambda: pids).collect()
        return {metric.name: metric.samples[0].value for metric in found}

    own, parent = os.getpid(), os.getppid()
    both = values(own, parent)
    assert both["process_resident_memory_bytes"] > values(parent)["process_resident_memory_bytes"]
    assert both["process_start_time_seconds"] == min(
        values(own)["process_start_time_seconds"], values(parent)["process_start_time_seconds"]
    )
    assert is_of_this_server(parent) and is_of_this_server(own)
    assert not is_of_this_server(1) or parent == 1
    assert not is_of_this_server(2**22 + 1), "there is no such process"


def test_without_a_free_descriptor_no_state_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(socket, "socket", refused)
    ServiceManager({"NOTIFY_SOCKET": "/run/systemd/notify"}).ready()


def test_a_restart_that_cannot_be_counted_ends_no_server(tmp_path: Path) -> None:
    add_restart(tmp_path / "removed")
    (tmp_path / "restarts").symlink_to("/dev/full")
    add_restart(tmp_path)
