"""Threats of the page on security that need a process."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from support.gateway_fixtures import ANN, BOB, TWO, configured, upstream
from support.programs_of_ours import run_headgate
from support.raw_connections import conversation, status
from support.raw_upstream import raw_upstream
from support.recorder_upstream import recorder
from support.server_process import ServerProcess
from support.servers import Server
from support.waiting import poll_until

QUERY = "/m/prometheus/api/v1/query"


def test_11_slow_and_large_requests(
    serve_process: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    """A thousand connections: benchmarks/soak.py. Silent stores: test_upstream_faults.py."""

    def never(line: Any, request: bytes) -> None:
        line.settimeout(20)
        line.recv(1)

    with raw_upstream(never) as store:
        options = {"read-timeout": "1h"}
        table = upstream("mimir", urls=[store.url], mount="/m", **options)
        server = configured(serve_process, tmp_path, table, gateway="max-concurrent-per-user = 3")
        server.bootstrap(TWO)
        large = b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: " + b"y" * 300_000 + b"\r\n\r\n"
        assert status(conversation(server, large)) == 431
        with ThreadPoolExecutor(3) as threads:
            waiting = [threads.submit(attempt, server) for _ in range(3)]
            poll_until(lambda: len(store.requests) == 3, "they do not come")
            assert server.request("GET", QUERY, basic=ANN).status == 429
            # Others, and what Headgate does by itself, are not held up.
            assert server.query("SHOW DATABASES", ANN).rows() == [["a"]]
            server.kill()
            assert [one.result() for one in waiting] == [0] * 3


def attempt(server: Server) -> int:
    try:
        return server.request("GET", QUERY, basic=ANN).status
    except OSError:
        return 0


def test_12_a_broken_configuration_changes_nothing(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    """The figures and /health: test_operations.py."""
    with recorder() as store:
        table = upstream("mimir", urls=[store.url], mount="/m")
        server = configured(serve, tmp_path, table).bootstrap(TWO)
        (tmp_path / "headgate.toml").write_text("[gateway]\nupstream = 7\n")
        server.reload()
        poll_until(lambda: "the former configuration stays in use" in server.log(), "no complaint")
        assert server.request("GET", QUERY, basic=ANN).status == 200
        assert server.request("GET", QUERY, None, {"X-Scope-OrgID": "a"}, BOB).status == 403
        done = run_headgate("serve", "--check", "--config", str(tmp_path / "headgate.toml"))
        assert done.returncode == 1 and "expected an address, or tables" in done.stderr
