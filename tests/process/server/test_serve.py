"""`headgate serve` as a process: start, workers, signals, faults."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import pytest

from headgate_engine import SqliteStore
from support.local_server import LocalServer
from support.programs_of_ours import run_headgate
from support.server_process import ServerProcess
from support.servers import ROOT, Answer, Server
from support.waiting import free_port, poll_until

HEADGATE = [sys.executable, "-m", "headgate"]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return run_headgate("serve", *arguments, environment=os.environ | environment)


@pytest.mark.parametrize("flags", [(), ("--workers", "2")])
def test_everything_is_kept_over_a_restart(
    serve_process: Callable[..., ServerProcess], flags: tuple[str, ...]
) -> None:
    server = serve_process(*flags).bootstrap(
        "CREATE DATABASE db", "CREATE USER a WITH PASSWORD 'x'"
    )
    assert server.stop() == 0
    server.start()
    assert server.query("SHOW USERS").rows() == [["root", True], ["a", False]]
    assert server.query("SHOW DATABASES", ("a", "x")).status == 200
    assert server.stop(signal.SIGINT) == 0


def test_sigterm_lets_running_requests_finish(serve_process: Callable[..., ServerProcess]) -> None:
    # Expensive hashes, so that a request is still running when the signal comes.
    server = serve_process(HEADGATE_AUTH_BCRYPT_COST="10").bootstrap()
    answers: list[Answer] = []
    many = "; ".join(f"CREATE USER u{number} WITH PASSWORD 'x'" for number in range(8))
    thread = threading.Thread(target=lambda: answers.append(server.query(many)))
    thread.start()
    poll_until(lambda: len(server.query("SHOW USERS").rows()) > 1, "nothing happens")
    assert server.stop() == 0
    thread.join()
    assert len(answers[0].json["results"]) == 8 and not answers[0].error
    assert answers[0].headers["connection"] == "close"


def test_an_answer_under_way_is_sent_to_its_end_at_sigterm(server_process: ServerProcess) -> None:
    server_process.bootstrap("; ".join(f"CREATE DATABASE d{i:03}_{'x' * 200}" for i in range(100)))
    form = "Content-Type: application/x-www-form-urlencoded\r\n"
    body = "u=&q=" + "%3B".join(["SHOW+DATABASES"] * 600)
    with socket.create_connection(("127.0.0.1", server_process.port), timeout=30) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)
        fields = f"Host: x\r\n{form}Content-Length: {len(body)}"
        head = f"POST /query?u=root&p=Toor-1 HTTP/1.1\r\n{fields}\r\n\r\n"
        line.sendall((head + body).encode())
        answer = line.recv(4096)
        assert server_process.process is not None
        server_process.process.terminate()
        length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        while part := line.recv(1 << 18):
            answer += part
            time.sleep(0.002)  # slower than it is sent
    assert len(answer.partition(b"\r\n\r\n")[2]) == length > 10_000_000
    assert server_process.process.wait(30) == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_same_signal_again_ends_it_at_once(
    serve_process: Callable[..., ServerProcess], workers: str
) -> None:
    server = serve_process("--workers", workers).bootstrap()
    many = ";".join(f"CREATE USER u{i} WITH PASSWORD 'x'" for i in range(2_000))
    assert server.query(many, ROOT, **{"async": "true"}).status == 204
    assert server.process is not None
    server.process.terminate()
    time.sleep(0.5)  # two pending signals of the same kind are delivered as one
    server.process.terminate()
    assert server.process.wait(10) == 1


def test_a_change_is_obeyed_by_the_next_request_to_any_worker(
    serve_process: Callable[..., ServerProcess],
) -> None:
    server = serve_process("--workers", "3", HEADGATE_AUTH_LONGEST_DELAY="0s")
    server.bootstrap("CREATE DATABASE db")
    for number in range(12):
        server.query(f"CREATE USER a WITH PASSWORD 'p{number}'; GRANT READ ON db TO a")
        for _ in range(8):  # a new connection each: any worker may accept it
            assert server.query("SHOW DATABASES", ("a", f"p{number}")).rows() == [["db"]]
        server.query("REVOKE READ ON db FROM a")
        for _ in range(4):
            assert server.query("SHOW DATABASES", ("a", f"p{number}")).rows() == []
        server.query("DROP USER a")
        for _ in range(8):
            assert server.query("SHOW DATABASES", ("a", f"p{number}")).status == 401


def test_several_workers_serve(serve_process: Callable[..., ServerProcess]) -> None:
    server = serve_process("--workers", "3").bootstrap()
    assert server.process is not None
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text()
    assert len(children.split()) >= 3
    # A worker that dies is replaced, and no request fails.
    victim = max(int(pid) for pid in children.split())
    os.kill(victim, signal.SIGKILL)
    for _ in range(20):
        assert server.query("SHOW USERS").status == 200


def test_a_slow_login_does_not_hold_up_the_others(
    serve_process: Callable[..., ServerProcess],
) -> None:
    server = serve_process(HEADGATE_AUTH_BCRYPT_COST="12").bootstrap()  # about 0.3 s each
    server.query("SHOW USERS")
    threads = [
        threading.Thread(target=server.query, args=("SHOW USERS", ("root", f"wrong{n}")))
        for n in range(3)
    ]
    for thread in threads:
        thread.start()
    started = time.monotonic()
    served = 0
    while any(thread.is_alive() for thread in threads):
        assert server.query("SHOW GRANTS FOR root").status == 200
        served += 1
        assert time.monotonic() - started < 30
    assert served > 3


@pytest.mark.parametrize(
    ("flags", "environment", "reason"),
    [
        (("--bind", "nonsense"), {}, "bind-address: 'nonsense' is no HOST:PORT"),
        (("--bind", "127.0.0.1:99999"), {}, "no HOST:PORT"),
        (("--bind", "192.0.2.1:0"), {}, "cannot listen on 192.0.2.1:0"),
        (("--store", "/nowhere/users.db"), {}, "there is no folder /nowhere"),
        (("--config", "/nowhere.toml"), {}, "/nowhere.toml: No such file"),
        (("--workers", "0"), {}, "--workers: expected 1 to 64"),
        ((), {"HEADGATE_AUTH_BCRYPT_COST": "99"}, "HEADGATE_AUTH_BCRYPT_COST: expected 4 to 14"),
        ((), {"INFLUXDB_HTTP_AUTH_ENABLED": "maybe"}, "expected true or false"),
    ],
)
def test_what_cannot_start_says_why_in_one_line(
    tmp_path: Path, flags: tuple[str, ...], environment: dict[str, str], reason: str
) -> None:
    arguments = ("--bind", "127.0.0.1:0", "--store", str(tmp_path / "users.db"), *flags)
    done = run(*arguments, **environment)
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if "created store" not in line]
    assert reason in lines[-1] and len(lines) <= 2 and "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_named(server: Server, tmp_path: Path) -> None:
    done = run("--bind", f"127.0.0.1:{server.port}", "--store", str(tmp_path / "other.db"))
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{server.port}: Address already in use" in done.stderr


def test_wrong_flags_are_one_line_and_status_2() -> None:
    done = run("--nonsense")
    assert done.returncode == 2 and done.stderr.count("\n") == 1


def test_a_vanished_store_is_not_replaced_by_an_empty_one(
    serve_process: Callable[..., ServerProcess],
) -> None:
    server = serve_process().bootstrap()
    server.stop()
    for file in server.store.parent.glob(server.store.name + "*"):
        if not file.name.endswith(".lock"):
            file.unlink()
    done = run("--bind", "127.0.0.1:0", "--store", str(server.store))
    assert done.returncode == 1 and "is gone" in done.stderr


def test_passwords_and_secrets_are_in_no_log(serve: Callable[..., Server]) -> None:
    server = serve("--shared-secret", "Zk7secretZk7").bootstrap()
    server.query("CREATE USER a WITH PASSWORD 'Zk7passwordZk7'; SET PASSWORD FOR a = 'Zk7otherZk7'")
    server.request("GET", "/query?q=SHOW+USERS&u=a&p=Zk7otherZk7")
    server.request("GET", "/query?q=CREATE+USER+b+WITH+PASSWORD+'Zk7getZk7'", basic=ROOT)
    server.query("SHOW USERS", ("a", "Zk7wrongZk7"))
    server.stop()
    files = [server.store, *server.store.parent.glob(server.store.name + "-*")]
    for file in [*files, server.store.with_suffix(".log")]:
        assert b"Zk7" not in file.read_bytes(), file


def test_it_listens_on_every_interface_if_no_host_is_given(tmp_path: Path) -> None:
    port = free_port()
    server = LocalServer(tmp_path / "users.db", ("--bind", f":{port}"), port=port)
    server.start()
    assert server.stop() == 0


def test_a_client_writes_no_other_address_into_the_audit(server: Server) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Forwarded-For": "6.6.6.6"}
    server.bootstrap()
    server.request("POST", "/query", b"q=CREATE+DATABASE+db", headers, ROOT)
    assert server.stop() == 0
    store = SqliteStore(server.store)
    assert [record.address for record in store.audit()] == ["127.0.0.1"] * 2
    store.close()


def test_sigterm_ends_it_at_any_moment_after_it_listens(tmp_path: Path) -> None:
    for _ in range(5):
        with subprocess.Popen(
            [*HEADGATE, "serve", "--bind", "127.0.0.1:0", "--store", str(tmp_path / "s.db")],
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if "listening on" in line:
                    break
            process.terminate()
            try:
                assert process.wait(20) == 0
            finally:
                process.kill()  # otherwise the tests would wait forever


@pytest.mark.parametrize(
    ("bind", "warned"),
    [("127.0.0.1:0", False), ("localhost:0", False), ("0.0.0.0:0", True), (":0", True)],
)
def test_passwords_in_the_clear_on_a_network_are_warned_of(
    tmp_path: Path, bind: str, warned: bool
) -> None:
    command = [*HEADGATE, "serve", "--bind", bind, "--store", str(tmp_path / "s.db")]
    environment = os.environ | {"HEADGATE_HTTP_SHARED_SECRET": "short"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if "listening on" in line:
                break
        process.terminate()
    assert any("in the clear" in line for line in said) == warned
    assert any("less than 32 bytes" in line for line in said)
    refused = (
        run_headgate(
            *command[len(HEADGATE) :],
            environment=environment | {"HEADGATE_HTTP_ALLOW_INSECURE": "false"},
        )
        if warned
        else None
    )
    if refused is not None:
        assert refused.returncode == 1 and "allow-insecure = false" in refused.stderr


@pytest.mark.parametrize("flag", ["-help", "--help", "-h"])
def test_help_is_given_however_one_asks(flag: str) -> None:
    answer = run(flag)
    assert answer.returncode == 0 and "--store PATH" in answer.stdout


def test_a_store_that_is_removed_under_a_server_takes_no_more_changes(server: Server) -> None:
    server.bootstrap("CREATE DATABASE db")
    for path in server.store.parent.glob("store0.db*"):
        if path.suffix != ".log":
            path.unlink()
    for _ in range(3):
        answer = server.query("CREATE DATABASE lost")
        assert answer.error == "store unavailable: its file was removed or replaced"
    assert server.log().count("Traceback") == 0


def test_the_user_is_authenticated_when_the_body_has_arrived(server: Server) -> None:
    server.bootstrap("CREATE USER eve WITH PASSWORD 'e' WITH ALL PRIVILEGES")
    assert server.query("SHOW USERS", ("eve", "e")).status == 200
    body = urlencode({"q": "CREATE USER mallory WITH PASSWORD 'm' WITH ALL PRIVILEGES"}).encode()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.putrequest("POST", "/query")
    connection.putheader("Authorization", "Basic " + b64encode(b"eve:e").decode())
    connection.putheader("Content-Type", "application/x-www-form-urlencoded")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body[:10])
    # The server answers on other connections, so it has the head of this one.
    assert server.query("SHOW DATABASES", ("eve", "e")).status == 200
    assert not server.query("DROP USER eve").error
    connection.send(body[10:])
    assert connection.getresponse().status == 401
    connection.close()
    assert server.query("SHOW USERS").rows() == [["root", True]]
