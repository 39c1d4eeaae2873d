"""Traces: a span per request and a child span for the upstream request, in the client's trace."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import (
    InMemorySpanExporter,
)

from headgate_server.application import Application
from headgate_server.config.gateway import (
    GatewaySettings,
    UpstreamSettings,
)
from headgate_server.config.settings import Settings
from headgate_server.telemetry.tracing import NoTracing, OpenTelemetryTracing, tracing
from support.recorder_upstream import recorder

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


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


async def traced(url: str, path: str, store: str) -> tuple[int, Sequence[ReadableSpan]]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
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
    service = app._context
    service.tracing = OpenTelemetryTracing(provider)
    await service.gateway.close()  # it may have connected already, to probe the store
    service.gateway = service._create_gateway(service.settings)
    status = await get(app, path, {"traceparent": PARENT, "Authorization": "Bearer Secret-1"})
    ending.set()
    await life
    return status, exporter.get_finished_spans()


def test_a_request_is_two_spans_of_the_clients_trace(tmp_path: Any) -> None:
    with recorder() as store:
        path = "/prometheus/api/v1/query"
        status, spans = asyncio.run(traced(store.url, path, str(tmp_path / "u.db")))
        assert status == 200
        inner, outer = spans
        assert (inner.name, outer.name) == ("upstream m", "GET gateway m /prometheus/api/v1/query")
        for span in spans:
            assert span.context is not None and f"{span.context.trace_id:032x}" == TRACE
            # Spans contain neither the query nor the credentials.
            assert "Secret-1" not in str(span.to_json()) and "Toor-1" not in str(span.to_json())
        assert outer.context is not None and inner.context is not None
        assert outer.parent is not None and f"{outer.parent.span_id:016x}" == PARENT.split("-")[2]
        assert inner.parent is not None and inner.parent.span_id == outer.context.span_id
        assert dict(outer.attributes or {}) == {
            "http.request.method": "GET",
            "http.route": "gateway m /prometheus/api/v1/query",
            "http.response.status_code": 200,
        }
        (context,) = store.last.all("traceparent")
        assert context.split("-")[1:3] == [TRACE, f"{inner.context.span_id:016x}"]


def test_a_store_that_fails_is_a_span_that_failed(tmp_path: Any) -> None:
    path = "/prometheus/api/v1/query"
    status, spans = asyncio.run(traced("http://127.0.0.1:1", path, str(tmp_path / "u.db")))
    assert status == 502
    assert [span.status.is_ok for span in spans] == [False, False]


def test_without_a_collector_nothing_is_made() -> None:
    assert isinstance(tracing(""), NoTracing)
