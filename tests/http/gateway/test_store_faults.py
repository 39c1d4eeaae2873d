"""An upstream store that is unreachable, or rejects Headgate's login.

Tests the errors in responses, in /health, in the log, and of `headgate serve --check`.

"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.gateway_fixtures import configured, upstream
from support.raw_upstream import raw_upstream
from support.recorder_upstream import recorder
from support.servers import ROOT, Server
from support.waiting import poll_until

AWAY = "the upstream store cannot be reached"
NOWHERE = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def short_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Caches the health of an upstream store for 0.2 s only."""
    monkeypatch.setattr("headgate_server.upstream.health_checks._CACHE_SECONDS", 0.2)


def health(server: Server) -> tuple[int, str, dict[str, str]]:
    answer = server.request("GET", "/health")
    states = {check["name"]: check["status"] for check in answer.json["checks"]}
    return answer.status, answer.json["message"], states


@pytest.mark.parametrize("protocol", ["influxdb1", "victoriametrics", "mimir", "loki"])
def test_health_fails_when_the_only_store_is_away(
    serve: Callable[..., Server], tmp_path: Path, protocol: str
) -> None:
    server = configured(serve, tmp_path, upstream(protocol, urls=[NOWHERE])).bootstrap()
    status, message, states = health(server)
    assert (status, message) == (503, "no upstream store can be used")
    assert states == {f"upstream {protocol}": "fail"}
    (check,) = server.request("GET", "/health").json["checks"]
    assert check["message"] == f"1 of 1 addresses away: {AWAY}"
    assert server.request("GET", "/ping").status == 204


def test_one_store_of_several_takes_no_server_out_of_service(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    with recorder() as store:
        well = upstream("mimir", urls=[store.url, NOWHERE], mount="/m")
        away = upstream("loki", urls=[NOWHERE], mount="/l")
        server = configured(serve, tmp_path, well + away).bootstrap()
        status, message, states = health(server)
        assert (status, message) == (200, "ready for queries and writes, but for loki")
        assert states == {"upstream mimir": "fail", "upstream loki": "fail"}


def test_a_store_without_one_of_its_components_is_not_usable(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    with recorder() as store:
        parts = {"distributor": store.url, "query-frontend": NOWHERE}
        server = configured(serve, tmp_path, upstream("mimir", components=parts)).bootstrap()
        assert health(server)[:2] == (503, "no upstream store can be used")


def test_health_tells_when_a_store_is_back(serve: Callable[..., Server], tmp_path: Path) -> None:
    answers: list[Any] = [(503, {}, b"")]
    with recorder() as store:
        store.reply = lambda heard: answers[-1]
        server = configured(serve, tmp_path, upstream("mimir", urls=[store.url])).bootstrap()
        assert health(server)[0] == 503
        answers.append((200, {}, b"ready"))
        poll_until(lambda: health(server)[0] == 200, "it stays away")


@pytest.mark.slow
def test_the_log_names_address_and_reason_and_clients_hear_of_neither(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    def closes(line: Any, request: bytes) -> None:
        line.close()

    def babbles(line: Any, request: bytes) -> None:
        line.sendall(b"220 ready\r\n")

    with raw_upstream(closes) as closing, raw_upstream(babbles) as babbling:
        for name, url, reason in [
            ("m", NOWHERE, "Connection refused"),
            ("n", "http://nowhere.invalid:9", "not known"),
            ("c", closing.url, "it closed the connection"),
            ("b", babbling.url, "its answer is not HTTP"),
        ]:
            tables = upstream("influxdb1", name=name, urls=[url])
            server = configured(serve, tmp_path, tables).bootstrap()
            for method, path in [("POST", "/write?db=a"), ("GET", "/query?q=SHOW+DATABASES")]:
                answer = server.request(method, path, b"", basic=ROOT)
                assert answer.status == 502, (name, path)
                assert url not in answer.error and reason not in answer.error
            lines = [line for line in server.log().splitlines() if url in line]
            assert any("headgate: upstream '" in line for line in lines), lines
            assert any("status=502" in line and reason in line for line in lines), lines
            assert server.stop() == 0


def test_a_statement_that_needs_no_store_is_answered_without_it(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    server = configured(serve, tmp_path, upstream("influxdb1", urls=[NOWHERE])).bootstrap()
    assert not server.query("CREATE USER ann WITH PASSWORD 'Ann-pw-1'; SHOW USERS").error
    assert server.query("SHOW DATABASES").status == 502
