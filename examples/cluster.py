"""The demonstration of `make demo-cluster`: two servers on one store in etcd, behind nginx.

It starts three members of etcd, two servers with two workers each, and nginx, all on free ports of
127.0.0.1 and in a temporary folder. It ends some of them, and prints what clients see. Needs
Debian's etcd-server, etcd-client and nginx-light.

An unexpected result ends the demonstration with status 1.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

HEADGATE = [sys.executable, "-m", "headgate"]
RECIPE = Path(__file__).parent / "nginx" / "cluster.conf"
ROOT = ("root", "Toor-123")
MEMBERS = 3


class Cluster:
    """The processes of the demonstration, with their files in *folder*."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ports = free_ports(2 * MEMBERS + 3)
        self.clients, self.peers = ports[:MEMBERS], ports[MEMBERS : 2 * MEMBERS]
        self.servers, self.nginx = ports[2 * MEMBERS : -1], ports[-1]
        self.url = f"etcd://{','.join(f'127.0.0.1:{port}' for port in self.clients)}/headgate"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Starts all, and makes the store."""
        for number in range(MEMBERS):
            self.start_member(number)
        wait(lambda: self._run_store("check") in ("", "there is no store"), "etcd did not start")
        self._run_store("init")
        for port in self.servers:
            self.start_server(port)
        path = self.folder / "nginx.conf"
        path.write_text(self._nginx_configuration())
        program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
        assert program is not None, "nginx must be installed"
        self._spawn("nginx", [program, "-e", "stderr", "-c", str(path)])
        wait(lambda: get(self.nginx, "/ping") == 204, "nginx did not start")

    def _nginx_configuration(self) -> str:
        """Returns the recipe with the ports and the folder of this cluster."""
        text = RECIPE.read_text().replace("8080", str(self.nginx))
        for known, port in zip(("8087", "8088"), self.servers, strict=True):
            text = text.replace(known, str(port))
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        paths = " ".join(f"{one}_temp_path {self.folder}/{one};" for one in kinds)
        text = text.replace("http {", f"http {{ access_log off; {paths}", 1)
        user = "user root;" if os.getuid() == 0 else ""  # the owner of the folder
        return f"daemon off; {user} pid {self.folder}/pid; error_log stderr;\n{text}"

    def start_member(self, number: int) -> None:
        """Starts the member *number* of etcd, also again."""
        peers = [f"http://127.0.0.1:{port}" for port in self.peers]
        client = f"http://127.0.0.1:{self.clients[number]}"
        cluster = ",".join(f"m{it}={peer}" for it, peer in enumerate(peers))
        self._spawn(
            f"etcd {number}",
            [
                *("etcd", "--name", f"m{number}", "--data-dir", str(self.folder / f"m{number}")),
                *("--listen-client-urls", client, "--advertise-client-urls", client),
                *("--listen-peer-urls", peers[number]),
                *("--initial-advertise-peer-urls", peers[number], "--initial-cluster", cluster),
            ],
        )

    def start_server(self, port: int) -> None:
        """Starts the server on *port*, and waits until it responds."""
        address = f"127.0.0.1:{port}"
        flags = ["--bind", address, "--store", self.url, "--workers", "2"]
        environment = {"HEADGATE_HTTP_TRUSTED_PROXIES": "127.0.0.1"}
        self._spawn(f"headgate {port}", [*HEADGATE, "serve", *flags], environment)
        wait(lambda: get(port, "/ping") == 204, "a server did not start")

    def _spawn(
        self, name: str, command: list[str], environment: dict[str, str] | None = None
    ) -> None:
        with open(self.folder / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | (environment or {}),
                process_group=0,
            )

    def _run_store(self, command: str) -> str:
        """Runs `headgate store COMMAND`, and returns the end of its error."""
        done = subprocess.run(
            [*HEADGATE, "store", command, self.url], capture_output=True, text=True
        )
        return done.stderr.strip().rpartition(": ")[2]

    def leader(self) -> int:
        """Returns the number of etcd's member that leads."""
        for number, port in enumerate(self.clients):
            done = subprocess.run(
                ["etcdctl", "--endpoints", f"http://127.0.0.1:{port}", "endpoint", "status"],
                capture_output=True,
                text=True,
                env=os.environ | {"ETCDCTL_API": "3"},
            )
            if done.returncode == 0 and done.stdout.split(", ")[4] == "true":
                return number
        sys.exit("etcd has no leader")

    def send(self, name: str, number: int) -> None:
        """Sends the signal *number* to the process *name* and its children."""
        os.killpg(self.processes[name].pid, number)
        if number == signal.SIGKILL:
            self.processes.pop(name).wait()

    def end(self) -> None:
        """Ends all processes."""
        for process in self.processes.values():
            os.killpg(process.pid, signal.SIGCONT)
            os.killpg(process.pid, signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


class Clients:
    """Sends reads and changes through nginx in two threads, and notes the responses."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.statuses: Counter[int] = Counter()
        self.slowest_change = 0.0
        self.failed_changes = 0
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=it) for it in (self._read, self._change)]

    def __enter__(self) -> "Clients":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join()

    def _read(self) -> None:
        while not self._ends.wait(0.01):
            self.statuses[get(self._port, "/query?q=SHOW+USERS", ROOT)] += 1

    def _change(self) -> None:
        number = 0
        while not self._ends.wait(0.02):
            number += 1
            began = time.monotonic()
            while (
                query(self._port, f'CREATE DATABASE "d{number}"', ROOT) and not self._ends.is_set()
            ):
                self.failed_changes += 1
                time.sleep(0.02)
            self.slowest_change = max(self.slowest_change, time.monotonic() - began)

    def report(self) -> str:
        """Returns what the clients saw, in words."""
        statuses = ", ".join(f"{count} times {it}" for it, count in sorted(self.statuses.items()))
        return (
            f"reads {statuses}; slowest change {self.slowest_change:.2f} s,"
            f" {self.failed_changes} changes were sent again"
        )


def free_ports(count: int) -> list[int]:
    """Returns *count* free ports of 127.0.0.1."""
    with ExitStack() as stack:
        listeners = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [it.getsockname()[1] for it in listeners]


def wait(is_there: Callable[[], bool], failure: str, seconds: float = 60) -> None:
    """Waits until *is_there* returns True. Ends the program with *failure* after *seconds*."""
    ends = time.monotonic() + seconds
    while not is_there():
        if time.monotonic() > ends:
            sys.exit(failure)
        time.sleep(0.05)


def send(
    port: int, path: str, login: tuple[str, str] | None, body: bytes | None
) -> tuple[int, bytes]:
    """Returns status and body of a response; (0, b"") if there is none."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=body)
    if login is not None:
        request.add_header("Authorization", "Basic " + b64encode(":".join(login).encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""


def get(port: int, path: str, login: tuple[str, str] | None = None) -> int:
    """Returns the status of a GET; 0 without a response."""
    return send(port, path, login, None)[0]


def query(port: int, text: str, login: tuple[str, str] | None) -> str:
    """Executes *text* by a POST. Returns the error, or ""."""
    status, body = send(port, "/query", login, urllib.parse.urlencode({"q": text}).encode())
    if status == 0:
        return "no response"
    try:
        content = json.loads(body)
    except ValueError:
        return f"status {status}"
    errors = [content, *content.get("results", [])]
    return next((str(it["error"]) for it in errors if "error" in it), "")


def expect(holds: bool, sentence: str) -> None:
    """Prints *sentence*. Ends the program if *holds* is False."""
    print(f"  {sentence}", flush=True)
    if not holds:
        sys.exit("this was not expected")


def tour(cluster: Cluster) -> None:
    """Runs the steps of the demonstration."""
    one, two = cluster.servers
    print("The first user, through nginx")
    text = f"CREATE USER root WITH PASSWORD '{ROOT[1]}' WITH ALL PRIVILEGES"
    error = query(one, text, None)
    expect(not error, error or text.replace(ROOT[1], "..."))
    wait(lambda: get(cluster.nginx, "/query?q=SHOW+USERS", ROOT) == 200, "root cannot log in")
    query(cluster.nginx, "CREATE DATABASE d; CREATE USER todd WITH PASSWORD 's3cret-12'", ROOT)

    print("GRANT and REVOKE on one server, and the question on the other one at once")
    new = 0
    for number in range(60):
        words, held = (
            ("GRANT READ ON d TO", "READ") if number % 2 else ("REVOKE READ ON d FROM", "")
        )
        query(one, f"{words} todd", ROOT)
        _, body = send(two, "/query?q=SHOW+GRANTS+FOR+todd", ROOT, None)
        new += (b'"READ"' in body) == bool(held)
    expect(new > 30, f"{new} of 60 responses were new")

    print("etcd's leader is killed")
    with Clients(cluster.nginx) as clients:
        time.sleep(1)
        cluster.send(f"etcd {(leader := cluster.leader())}", signal.SIGKILL)
        time.sleep(6)
    expect(200 in clients.statuses and clients.statuses.keys() <= {200, 503}, clients.report())
    cluster.start_member(leader)

    print("A server is killed")
    with Clients(cluster.nginx) as clients:
        time.sleep(1)
        cluster.send(f"headgate {one}", signal.SIGKILL)
        time.sleep(3)
    expect(200 in clients.statuses and clients.statuses.keys() <= {200, 503}, clients.report())
    cluster.start_server(one)

    print("Two members of etcd are frozen")
    frozen = [f"etcd {number}" for number in (0, 1)]
    for name in frozen:
        cluster.send(name, signal.SIGSTOP)
    began = time.monotonic()
    wait(lambda: get(one, "/query?q=SHOW+USERS", ROOT) == 503, "reads go on without etcd")
    expect(True, f"reads were 200 for {time.monotonic() - began:.1f} s, then 503")
    expect(get(one, "/health") == 503, "/health is 503")
    print("They go on")
    for name in frozen:
        cluster.send(name, signal.SIGCONT)
    began = time.monotonic()
    wait(lambda: get(one, "/health") == 200, "the servers do not recover")
    wait(lambda: not query(one, "CREATE DATABASE e", ROOT), "the servers do not recover")
    expect(True, f"{time.monotonic() - began:.1f} s later all is well again")


def main() -> None:
    """Starts the cluster, runs the steps, and ends all that was started."""
    with tempfile.TemporaryDirectory(prefix="headgate-cluster-") as folder:
        cluster = Cluster(Path(folder))
        try:
            print("Three members of etcd, two servers with two workers each, and nginx")
            cluster.start()
            tour(cluster)
        finally:
            cluster.end()


if __name__ == "__main__":
    main()
