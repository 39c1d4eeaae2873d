"""Several worker processes: metrics of all, and replacement of a dead worker."""

import http.client
import os
import signal
import subprocess
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.open_files import open_files
from support.server_process import ServerProcess
from support.servers import Answer, Server
from support.waiting import poll_until


def samples(answer: Answer) -> dict[tuple[str, ...], float]:
    """Returns the samples by name and values of the sorted labels, read as Prometheus does."""
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
        if family.documentation or sample.name.startswith(("process_", "python_"))
    }


def settled(server: Server, requests: int) -> dict[tuple[str, ...], float]:
    """Returns the metrics once *requests* requests are counted.

    Other workers report theirs after a tenth of a second. /metrics and /ping are excluded.
    """
    counted: dict[tuple[str, ...], float] = {}

    def there() -> bool:
        counted.clear()
        counted.update(samples(server.request("GET", "/metrics")))
        every = [(key, n) for key, n in counted.items() if key[0] == "headgate_http_requests_total"]
        times = counted.get(("headgate_http_request_duration_seconds_count", "/query"), 0)
        by_route = sum(number for key, number in every if key[2] == "/query")
        # A worker may be in the middle of writing its counts.
        return times == by_route and (
            sum(number for key, number in every if key[2] in ("/query", "other")) == requests
        )

    poll_until(there, "the requests are never counted")
    return counted


@pytest.mark.parametrize("workers", ["1", "3"])
def test_metrics_count_what_all_workers_did(
    serve_process: Callable[..., ServerProcess], workers: str
) -> None:
    server = serve_process("--workers", workers).bootstrap(
        "CREATE USER todd WITH PASSWORD 's3cret'"
    )
    requests = "headgate_http_requests_total"
    before = settled(server, 2)  # the requests of bootstrap()
    for _ in range(20):
        assert server.query("SHOW GRANTS FOR todd").status == 200
    server.query("SHOW USERS", ("todd", "wrong-1"))
    server.query("SHOW USERS", None)
    server.query("SHOW USERS", ("todd", "s3cret"))
    server.request("GET", "/no/such/place")
    server.request("BREW", "/query")
    after = settled(server, 2 + 20 + 5)

    def grown(*key: str) -> float:
        return after.get(key, 0) - before.get(key, 0)

    assert grown(requests, "POST", "/query", "200") == 20
    assert grown(requests, "POST", "/query", "401") == 2
    assert grown(requests, "POST", "/query", "403") == 1
    assert grown(requests, "GET", "other", "404") == 1
    assert grown(requests, "other", "other", "400") == 1
    assert grown("headgate_http_request_duration_seconds_count", "/query") == 23
    assert grown("headgate_authentications_total", "password", "accepted") == 21
    assert grown("headgate_authentications_total", "password", "refused") == 1
    assert grown("headgate_authentications_total", "none", "refused") == 1
    assert grown("headgate_bcrypt_duration_seconds_count") >= 2
    hits = grown("headgate_cache_lookups_total", "password", "hit")
    assert hits >= 20 - int(workers)
    assert grown("headgate_cache_lookups_total", "statement", "hit") >= 20 - int(workers)
    # Unchanged data is not read again.
    assert 2 <= grown("headgate_store_duration_seconds_count", "read") < 40
    assert after["headgate_store_duration_seconds_count", "change"] >= 2
    assert after["headgate_bcrypt_pending",] == 0
    assert after["headgate_build_info", version("headgate")] == 1
    assert grown("headgate_statements_total", "done", "ShowGrants") == 20
    assert after["headgate_statements_total", "done", "CreateUser"] == 2

    def connections() -> float:
        return samples(server.request("GET", "/metrics"))["headgate_http_connections",]

    # A worker may still be closing the connection of the previous request.
    poll_until(lambda: connections() == 1, "connections stay open")


def test_a_worker_that_dies_is_replaced(serve_process: Callable[..., ServerProcess]) -> None:
    server = serve_process("--workers", "2").bootstrap()
    first = server.workers()
    assert len(first) == 2
    for pid in first:
        subprocess.run(["kill", "-9", str(pid)], check=True)
    poll_until(lambda: len(server.workers() - first) == 2, "two new workers")
    poll_until(server.answers, "they serve")
    assert "starting another" in server.log()
    assert server.query("SHOW USERS").status == 200
    assert server.stop() == 0


def test_workers_do_not_outlive_their_parent(serve_process: Callable[..., ServerProcess]) -> None:
    server = serve_process("--workers", "2").bootstrap()
    workers = server.workers()
    server.stop(signal.SIGKILL)
    poll_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), "they end")


def test_a_worker_serves_on_while_others_cannot_start(
    serve_process: Callable[..., ServerProcess],
) -> None:
    server = serve_process("--workers", "2").bootstrap()
    # A worker that has opened the store may still need the file to start.
    poll_until(lambda: len(accepting(server)) == 2, "both do not accept connections")
    store, hidden = server.store, server.store.with_suffix(".hidden")
    first, second = sorted(server.workers())
    store.rename(hidden)
    subprocess.run(["kill", "-9", str(first)], check=True)
    poll_until(lambda: server.log().count("could not start") >= 2, "it tries again and again")
    assert server.request("GET", "/ping").status == 204
    assert "Exception" not in server.log() and "Traceback" not in server.log()
    hidden.rename(store)
    poll_until(lambda: len(server.workers() - {second}) == 1, "a new one is there", 60)
    poll_until(lambda: server.query("SHOW USERS").status == 200, "it serves")
    assert server.stop() == 0


def serving(server: ServerProcess) -> list[int]:
    """Returns the workers that have opened the store."""
    return [pid for pid in server.workers() if str(server.store) in open_files(pid)]


def accepting(server: ServerProcess) -> list[int]:
    """Returns the workers that accepted at least one of sixteen new connections."""
    before = {pid: sockets(pid) for pid in server.workers()}
    connections = [http.client.HTTPConnection("127.0.0.1", server.port) for _ in range(16)]
    try:
        for connection in connections:
            connection.request("GET", "/ping")
            connection.getresponse().read()
        return [pid for pid, number in before.items() if sockets(pid) > number]
    finally:
        for connection in connections:
            connection.close()


def sockets(pid: int) -> int:
    return sum(target.startswith("socket:") for target in open_files(pid))


def test_process_metrics_are_those_of_all_processes(
    serve_process: Callable[..., ServerProcess],
) -> None:
    server = serve_process("--workers", "2").bootstrap()
    assert server.process is not None
    before = server.workers()
    os.kill(min(before), signal.SIGKILL)
    poll_until(lambda: len(server.workers() - before) == 1, "the worker is replaced")
    poll_until(server.answers, "it serves again")
    found = samples(server.request("GET", "/metrics"))
    assert found["headgate_worker_restarts_total",] == 1
    # The supervisor and two workers, each with more than 20 MB.
    assert found["process_resident_memory_bytes",] > 60e6
    pids = (server.process.pid, *server.workers())
    assert found["process_open_fds",] >= sum(len(open_files(pid)) for pid in pids) // 2
    assert found["process_start_time_seconds",] < time.time()
    assert found["headgate_users",] == found["headgate_admins",] == 1
    assert found["headgate_databases",] == 0
    assert found["headgate_store_size_bytes",] > 4096
