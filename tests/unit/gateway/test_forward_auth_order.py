"""`/auth` requests of other proxies: which thread parses the query, and which thread prints it."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, quote

import pytest

from headgate_grammar import UnparseError
from headgate_server.api.forward_auth import forward_auth
from headgate_server.app_context import AppContext
from headgate_server.background.thread_pool import Key
from headgate_server.config.gateway import GatewaySettings, UpstreamSettings
from headgate_server.config.settings import Settings
from headgate_server.http.request import Request
from headgate_server.http.response import Response
from headgate_server.server_status import ServerStatus
from headgate_server.telemetry.metrics import Metrics
from headgate_server.upstream.influxdb import InfluxDBAdapter

T = TypeVar("T")
ADDRESS = "192.0.2.7"
LONG = "SELECT v FROM cpu WHERE " + " OR ".join(f"v = {number}" for number in range(2000))


async def _nothing() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


def asked(text: str) -> Request:
    headers = {
        "x-original-uri": f"/query?db=a&q={quote(text)}",
        "x-original-method": "GET",
        "x-real-ip": ADDRESS,
    }
    scope: dict[str, Any] = {
        "method": "GET",
        "path": "/auth/nginx/i",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
    }
    return Request(scope, _nothing)


class Watched:
    """Records the keys of calls in the thread pool, and for each printed statement its thread."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
        self.keys: list[Key] = []
        self.in_loop: list[bool] = []
        self._monkeypatch, self._path = monkeypatch, path

    def ask(self, text: str) -> Response:
        return asyncio.run(self._ask(text))

    async def _ask(self, text: str) -> Response:
        gateway = GatewaySettings((UpstreamSettings("i", "influxdb1"),))
        path = str(self._path / "users.db")
        settings = Settings(store_path=path, auth_enabled=False, gateway=gateway)
        service = AppContext(settings, Metrics(), ServerStatus(lambda: None))
        run, read_back, loop = (
            service.run_in_thread,
            InfluxDBAdapter.verified_text,
            threading.get_ident(),
        )

        async def noted(work: Callable[[], T], key: Key = ()) -> T:
            self.keys.append(key)
            return await run(work, key)

        def printed(store: InfluxDBAdapter, statement: Any) -> str:
            self.in_loop.append(threading.get_ident() == loop)
            return read_back(store, statement)

        with self._monkeypatch.context() as patched:
            patched.setattr(service, "run_in_thread", noted)
            patched.setattr(InfluxDBAdapter, "verified_text", printed)
            try:
                return await forward_auth(asked(text), service)
            finally:
                await service.close_connections()
                await asyncio.to_thread(service.close)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Watched:
    return Watched(monkeypatch, tmp_path)


def query_of(reply: Response) -> str:
    return parse_qs(dict(reply.raw_headers)[b"x-auth-query"].decode())["q"][0]


@pytest.mark.slow
def test_a_long_query_is_parsed_and_printed_in_the_clients_turn_of_the_threads(
    watched: Watched,
) -> None:
    reply = watched.ask(LONG)
    assert (reply.status_code, query_of(reply)) == (200, LONG)
    assert (watched.keys, watched.in_loop) == ([(ADDRESS,)], [False])


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("SELECT v FROM cpu", []),
        ("SELECT v FROM /cpu/", [(ADDRESS,)]),
        ("; ".join(["SELECT v FROM cpu"] * 20), [(ADDRESS,)]),
    ],
)
def test_only_a_short_query_without_regular_expressions_is_parsed_in_the_loop(
    watched: Watched, text: str, keys: list[Key]
) -> None:
    assert query_of(watched.ask(text)) == text
    assert watched.keys == keys


@pytest.mark.slow
@pytest.mark.parametrize("text", ["SELECT v FROM cpu", LONG])
def test_a_statement_that_is_read_back_as_another_is_refused(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    def differs(store: InfluxDBAdapter, statement: Any) -> str:
        raise UnparseError

    monkeypatch.setattr(InfluxDBAdapter, "verified_text", differs)
    reply = watched.ask(text)
    assert reply.status_code == 403 and str(UnparseError()).encode() in reply.body
