"""/ping, /status, /health, /metrics, /openapi.json: statuses, bodies, who has to log in."""

import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.server_process import ServerProcess
from support.servers import ROOT, Answer, Server
from support.waiting import poll_until

OPEN = [
    ("GET", "/ping", 204, b""),
    ("HEAD", "/ping", 204, b""),
    ("GET", "/ping?verbose=true", 200, b'{"version":"1.8.10"}\n'),
    ("GET", "/status", 204, b""),
    ("HEAD", "/status", 204, b""),
    (
        "GET",
        "/health",
        200,
        b'{"checks":[],"message":"ready for queries and writes","name":"influxdb",'
        b'"status":"pass","version":"1.8.10"}\n',
    ),
    ("HEAD", "/health", 200, b""),
]


@pytest.mark.parametrize(("method", "path", "status", "body"), OPEN)
def test_whether_it_is_there_and_well_is_told_to_everybody(
    server: Server, method: str, path: str, status: int, body: bytes
) -> None:
    answer = server.bootstrap().request(method, path)
    assert (answer.status, answer.body) == (status, body)
    assert answer.headers["Content-Type"] == "application/json"


def test_or_only_to_who_logs_in(serve: Callable[..., Server]) -> None:
    server = serve()
    server.bootstrap()
    server.stop()
    server.environment["HEADGATE_HTTP_PING_AUTH_ENABLED"] = "true"
    server.start()
    for method, path, status, _ in [*OPEN, ("GET", "/metrics", 200, b"")]:
        assert server.request(method, path).status == 401, path
        assert server.request(method, path, basic=ROOT).status == status, path


def test_metrics_may_ask_for_a_login_of_their_own(serve: Callable[..., Server]) -> None:
    server = serve(HEADGATE_HTTP_METRICS_AUTH_ENABLED="true").bootstrap()
    assert server.request("GET", "/ping").status == 204
    assert server.request("GET", "/metrics").status == 401
    assert server.request("GET", "/metrics", basic=ROOT).status == 200


def test_a_server_whose_store_is_gone_is_not_well(server: Server) -> None:
    server.bootstrap()
    server.store.unlink()
    answer = server.request("GET", "/health")
    assert (answer.status, answer.json["status"]) == (503, "fail")
    assert "removed or replaced" in answer.json["message"]


@pytest.mark.parametrize(
    "path",
    ["/debug/vars", "/debug/pprof", "/debug/requests", "/metrics/", "/api", "/api/v2/orgs", "/"],
)
def test_what_is_not_ours_is_not_found(server: Server, path: str) -> None:
    answer = server.request("GET", path)
    assert (answer.status, answer.body) == (404, b"404 page not found\n")
    assert "Request-Id" not in answer.headers


def test_flux_is_refused_with_a_sentence(server: Server) -> None:
    server.bootstrap()
    assert server.request("POST", "/api/v2/query", b"").status == 401
    answer = server.request("POST", "/api/v2/query", b'from(bucket:"a")', basic=("root", "Toor-1"))
    sentence = "Flux query service disabled: Headgate authorizes InfluxQL only, use /query"
    assert (answer.status, answer.json) == (403, {"error": sentence})
    assert answer.headers["X-Influxdb-Error"] == sentence


def samples(answer: Answer) -> dict[tuple[str, ...], float]:
    """By name and sorted labels' values, as Prometheus reads them."""
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
        if family.documentation or sample.name.startswith(("process_", "python_"))
    }


def settled(server: Server, requests: int) -> dict[tuple[str, ...], float]:
    """What it counts when so many *requests* are: of other workers that takes a tenth of a second.

    Those for /metrics and /ping are not among them.
    """
    counted: dict[tuple[str, ...], float] = {}

    def there() -> bool:
        counted.clear()
        counted.update(samples(server.request("GET", "/metrics")))
        every = [(key, n) for key, n in counted.items() if key[0] == "headgate_http_requests_total"]
        return sum(number for key, number in every if key[2] in ("/query", "other")) == requests

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
    before = settled(server, 2)  # what bootstrap sent
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
    # What nobody has changed is not read again.
    assert 2 <= grown("headgate_store_duration_seconds_count", "read") < 40
    assert after["headgate_store_duration_seconds_count", "change"] >= 2
    assert after["headgate_bcrypt_pending",] == 0
    assert after["headgate_build_info", version("headgate")] == 1
    assert grown("headgate_statements_total", "done", "ShowGrants") == 20
    assert after["headgate_statements_total", "done", "CreateUser"] == 2

    def connections() -> float:
        return samples(server.request("GET", "/metrics"))["headgate_http_connections",]

    # A worker may still be closing the connection of the request before.
    poll_until(lambda: connections() == 1, "connections stay open")


def test_metrics_come_as_open_metrics_for_who_asks(server: Server) -> None:
    kind = "application/openmetrics-text; version=1.0.0"
    answer = server.request("GET", "/metrics", None, {"Accept": kind + ", text/plain;q=0.5"})
    assert answer.headers["Content-Type"].startswith(kind)
    assert answer.body.endswith(b"# EOF\n") and b"_created" not in answer.body


def test_no_name_that_a_client_may_choose_is_in_the_metrics(server: Server) -> None:
    server.bootstrap(
        "CREATE USER \"very-special\" WITH PASSWORD 's3cret'; CREATE DATABASE special2"
    )
    server.query("SHOW DATABASES", ("very-special", "s3cret"), db="special2")
    server.request("GET", "/special3?special4", None, {"X-Request-Id": "special5"})
    text = server.request("GET", "/metrics").body
    assert b"special" not in text


def test_the_description_of_the_api_holds(serve: Callable[..., Server]) -> None:
    """schemathesis tries what the description allows and forbids."""
    # It tries wrong logins, too, and takes the 503 of a throttled writer for a fault.
    server = serve(HEADGATE_AUTH_LONGEST_DELAY="0s").bootstrap(
        "CREATE DATABASE db; CREATE USER todd WITH PASSWORD 's3cret'"
    )
    server.query("GRANT READ ON db TO todd")
    url = f"http://127.0.0.1:{server.port}/openapi.json"
    schemathesis = Path(sys.executable).with_name("schemathesis")
    for login in ([], ["--auth", "todd:s3cret"], ["--auth", "root:Toor-1"]):
        done = subprocess.run(
            [
                *(str(schemathesis), "run", url, "--checks", "all", "--max-examples", "30"),
                *("--suppress-health-check", "all", "--no-color", *login),
            ],
            cwd=server.store.parent,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_whoami_is_in_the_description(server: Server) -> None:
    description = server.request("GET", "/openapi.json")
    assert description.status == 200
    paths = ["/api/whoami", "/api/v1/prom/write", "/api/v1/prom/read"]
    assert list(description.json["paths"]) == paths


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


def test_who_still_serves_goes_on_serving_while_others_cannot_start(
    serve_process: Callable[..., ServerProcess],
) -> None:
    server = serve_process("--workers", "2").bootstrap()
    poll_until(lambda: len(serving(server)) == 2, "both serve")
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
    """Those that have opened the store."""
    return [pid for pid in server.workers() if str(server.store) in opened(pid)]


def opened(pid: int) -> set[str]:
    files = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it was closed meanwhile
            files.add(str(descriptor.readlink()))
    return files
