"""Reads from a store in etcd beside one in a SQLite file, memory and start, and two servers.

    PYTHONPATH=tests python benchmarks/shared_store_load.py [USERS]

Rates are of SHOW GRANTS of any user by one administrator, by wrk in interleaved rounds. `two
servers` are behind nginx, with a GRANT a second; so is one server with two workers. All is on this
machine, wrk and etcd, too. Needs Debian's etcd-server, nginx-light and wrk.
"""

import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from threading import Event, Thread

from contest import basic, resident_kib
from population import PASSWORD, ROOT, Population
from wrk import latency, rate, write_script, wrk

from headgate_engine import copy_store
from support.etcd import Etcd
from support.server_process import ServerProcess
from support.waiting import free_port, poll_until

ROUNDS, SECONDS = 4, 3
SHOW = "/query?q=SHOW+GRANTS+FOR+u#"


@contextmanager
def started(folder: Path, name: str, store: str, *flags: str) -> Iterator[ServerProcess]:
    """Yields a server on *store*, and prints its start and its memory."""
    environment = {"HEADGATE_HTTP_LOG_ENABLED": "false"}
    server = ServerProcess(folder / f"{name}.unused", ("--store", store, *flags), environment)
    began = time.monotonic()
    server.launch()
    poll_until(server.answers, "the server does not start", seconds=300)
    seconds = time.monotonic() - began
    try:
        poll_until(lambda: server.query("SHOW DATABASES", (ROOT, PASSWORD)).status == 200, name)
        print(f"{name:34} start {seconds:5.2f} s, {resident_kib(server) / 1024:5.0f} MiB")
        yield server
    finally:
        server.stop()


@contextmanager
def nginx(folder: Path, ports: list[int]) -> Iterator[int]:
    """Yields the port of an nginx that sends requests to *ports* in turn."""
    port = free_port()
    servers = " ".join(f"server 127.0.0.1:{one};" for one in ports)
    path = folder / f"nginx{port}.conf"
    path.write_text(
        f"daemon off; pid {folder}/nginx{port}.pid; error_log stderr; events {{}} http {{"
        f" access_log off; upstream all {{ {servers} keepalive 64; }} server {{ listen"
        f" 127.0.0.1:{port}; location / {{ proxy_pass http://all; proxy_http_version 1.1;"
        ' proxy_set_header Connection ""; } } }'
    )
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin") or "nginx"
    process = subprocess.Popen([program, "-e", "stderr", "-c", str(path)])
    try:
        poll_until(ServerProcess(folder / "nginx", port=port).responds, "nginx does not start")
        yield port
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def granting(server: ServerProcess, users: int) -> Iterator[None]:
    """Grants a privilege to some user once a second."""
    ending = Event()

    def grant() -> None:
        while not ending.wait(1.0):
            text = f"GRANT WRITE ON db0 TO u{random.randrange(users)}"
            assert not server.query(text, (ROOT, PASSWORD)).error

    thread = Thread(target=grant)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


def compare(ports: dict[str, int], script: Path, connections: int) -> dict[str, float]:
    """Prints the median rate and p99 at each of *ports*; returns the rates."""
    rates: dict[str, list[float]] = {name: [] for name in ports}
    slowest: dict[str, list[float]] = {name: [] for name in ports}
    for _ in range(ROUNDS):
        for name, port in ports.items():
            output = wrk(port, SECONDS, connections, script=script)
            rates[name].append(rate(output))
            slowest[name].append(latency(output, 99) / 1000)
    for name in ports:
        print(f"{name:34} {median(rates[name]):7.0f}/s, p99 {median(slowest[name]):6.2f} ms")
    return {name: median(found) for name, found in rates.items()}


def main() -> None:
    """Fills the stores, and prints the figures."""
    users = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        population = Population(users)
        population.fill(folder / "users.db")
        etcd = stack.enter_context(Etcd(folder / "etcd", 3, "--max-txn-ops", "1024"))
        members = ",".join(f"127.0.0.1:{port}" for port in etcd.ports)
        url = f"etcd://{members}/load"
        began = time.monotonic()
        copy_store(str(folder / "users.db"), url)
        print(f"{users} users copied into etcd in {time.monotonic() - began:.1f} s")
        script = write_script(folder / "show.lua", [basic(ROOT)], [SHOW], last=users - 1)
        with (
            started(folder, "SQLite, one worker", str(folder / "users.db")) as file,
            started(folder, "etcd, one worker", url) as shared,
        ):
            found = compare({"SQLite": file.port, "etcd": shared.port}, script, 16)
            print(f"etcd / SQLite {found['etcd'] / found['SQLite']:.2f}")
        with (
            started(folder, "one server", url) as first,
            started(folder, "second server", url) as second,
            nginx(folder, [first.port]) as one,
            nginx(folder, [first.port, second.port]) as both,
            granting(first, users),
        ):
            found = compare({"one server": one, "two servers": both}, script, 64)
            print(f"two servers / one {found['two servers'] / found['one server']:.2f}")
        with (
            started(folder, "one server, two workers", url, "--workers", "2") as workers,
            nginx(folder, [workers.port]) as port,
            granting(workers, users),
        ):
            compare({"one server, two workers": port}, script, 64)


if __name__ == "__main__":
    main()
