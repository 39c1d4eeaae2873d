"""Traces: a span per request and a child span for the upstream request, in the client's trace."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from headgate_server.application import Application
from headgate_server.config.gateway import (
    GatewaySettings,
    UpstreamSettings,
)
from headgate_server.config.settings import Settings
from headgate_server.telemetry.span_export import tracing
from headgate_server.telemetry.tracing import (
    NoTracing,
    Span,
    SpanTracing,
    incoming_trace_id,
    trace_id_text,
)
from support.recorder_upstream import recorder

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
PATH = "/prometheus/api/v1/query"


async def get(app: Application, path: str, headers: Mapping[str, str]) -> int:
    """Calls *app* directly with one request. Returns the status."""
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "http_version": "1.1",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"query=up&u=root&p=Toor-1",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "root_path": "",
    }
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(scope, receive, send)
    return statuses[0]


class Spans(list[Span]):
    """Keeps the spans of an application."""

    def is_sampled(self, trace_id: int, method: str, parent: tuple[int, bool] | None) -> bool:
        return parent is None or parent[1]

    def add(self, span: Span) -> None:
        self.append(span)

    def close(self) -> None:
        """Does nothing."""


async def traced(
    url: str, path: str, store: str, context: str = PARENT, state: str = "a=1"
) -> tuple[int, list[Span]]:
    upstream = UpstreamSettings("m", "mimir", urls=(url,), tenant_name="everyone")
    gateway = GatewaySettings((upstream,), allow_anonymous=True)
    app = Application(Settings(store_path=store, gateway=gateway))
    ready = asyncio.Event()
    ending = asyncio.Event()
    first = True

    async def receive() -> dict[str, str]:
        nonlocal first
        if first:
            first = False
            return {"type": "lifespan.startup"}
        await ending.wait()
        return {"type": "lifespan.shutdown"}

    async def send(message: Any) -> None:
        ready.set()

    life = asyncio.ensure_future(app({"type": "lifespan"}, receive, send))
    await ready.wait()
    assert app._context is not None
    service, spans = app._context, Spans()
    service.tracing = SpanTracing(spans)
    await service.gateway.close()  # it may have connected already, to probe the store
    service.gateway = service._create_gateway(service.settings)
    headers = {"traceparent": context, "tracestate": state, "Authorization": "Bearer Secret-1"}
    status = await get(app, path, headers)
    ending.set()
    await life
    return status, spans


def test_a_request_is_two_spans_of_the_clients_trace(tmp_path: Path) -> None:
    with recorder() as store:
        status, spans = asyncio.run(traced(store.url, PATH, str(tmp_path / "u.db")))
        assert status == 200
        inner, outer = spans
        route = "gateway m /prometheus/api/v1/query"
        names = inner.description.name, outer.description.name
        assert names == ("upstream m", f"GET {route}")
        for span in spans:
            assert trace_id_text(span.trace_id) == TRACE
            assert span.started_at <= span.ended_at
            # Spans contain neither the query nor the credentials.
            assert "Secret-1" not in repr(span)
            assert "Toor-1" not in repr(span)
        assert f"{outer.parent_id:016x}" == PARENT.split("-")[2]
        assert inner.parent_id == outer.id
        assert outer.description.attributes == (
            ("http.request.method", "GET"),
            ("http.route", route),
            ("http.response.status_code", 200),
        )
        assert store.last.all("traceparent") == [f"00-{TRACE}-{inner.id:016x}-01"]
        assert store.last.all("tracestate") == ["a=1"]


@pytest.mark.parametrize(
    ("context", "state"),
    [(PARENT, "a=" + "x" * 511), (PARENT, "a=\u00fc"), ("00-broken", "a=1"), (PARENT, "")],
)
def test_a_state_that_belongs_to_no_trace_is_not_handed_on(
    tmp_path: Path, context: str, state: str
) -> None:
    with recorder() as store:
        status, _ = asyncio.run(traced(store.url, PATH, str(tmp_path / "u.db"), context, state))
        assert status == 200
        assert store.last.all("tracestate") == []
        assert len(store.last.all("traceparent")) == 1


def test_a_trace_that_the_client_does_not_want_is_only_handed_on(tmp_path: Path) -> None:
    with recorder() as store:
        unwanted = PARENT.removesuffix("01") + "00"
        status, spans = asyncio.run(traced(store.url, PATH, str(tmp_path / "u.db"), unwanted))
        assert (status, spans) == (200, [])
        (context,) = store.last.all("traceparent")
        assert context.startswith(f"00-{TRACE}-")
        assert context.endswith("-00")


@pytest.mark.parametrize(
    ("context", "known"),
    [
        (PARENT, True),
        (PARENT.replace("00-", "01-", 1) + "-more", True),
        (PARENT + "-more", False),
        (PARENT.replace("00-", "ff-", 1), False),
        (PARENT.replace(TRACE, "0" * 32), False),
        (PARENT.replace("b7ad6b7169203331", "0" * 16), False),
        (PARENT.upper(), False),
        ("", False),
        ("\n", False),
    ],
)
def test_an_invalid_context_begins_a_trace(context: str, known: bool) -> None:
    headers = {"traceparent": context}
    assert (trace_id_text(incoming_trace_id(headers)) == TRACE) is known
    spans = Spans()
    with SpanTracing(spans).request(headers, "GET") as span:
        assert span is not None
        assert (trace_id_text(span.trace_id) == TRACE) is known
    assert (spans[0].parent_id != 0) is known


def test_a_store_that_fails_is_a_span_that_failed(tmp_path: Path) -> None:
    status, spans = asyncio.run(traced("http://127.0.0.1:1", PATH, str(tmp_path / "u.db")))
    assert status == 502
    assert [span.description.failed for span in spans] == [True, True]


def test_requests_at_the_same_time_have_spans_of_their_own() -> None:
    spans = Spans()
    tracing = SpanTracing(spans)

    async def request(name: str) -> None:
        with tracing.request({}, "GET") as span:
            assert span is not None
            await asyncio.sleep(0)
            with tracing.upstream(name, ""):
                await asyncio.sleep(0)
            span.finish("GET", name, 200)

    async def all_requests() -> None:
        await asyncio.gather(*(request(str(number)) for number in range(20)))

    asyncio.run(all_requests())
    outer = {it.id: it.description.name for it in spans if not it.description.is_client}
    inner = {it.parent_id: it.description.name for it in spans if it.description.is_client}
    assert {name.removeprefix("GET ") for name in outer.values()} == set(map(str, range(20)))
    assert {id: f"GET {name.removeprefix('upstream ')}" for id, name in inner.items()} == outer


def test_without_a_collector_nothing_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(tracing(""), NoTracing)
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert isinstance(tracing("http://127.0.0.1:1"), NoTracing)
