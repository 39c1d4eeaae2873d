"""Spans arrive at an OTLP/HTTP collector, as OpenTelemetry's variables say."""

import gzip
import logging
import re
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Status
from opentelemetry.proto.trace.v1.trace_pb2 import Span as EncodedSpan

from headgate_server.telemetry import span_export
from headgate_server.telemetry.span_collector import collector_options
from headgate_server.telemetry.span_encoding import encode
from headgate_server.telemetry.span_export import SpanExport
from headgate_server.telemetry.tracing import Span, SpanDescription, SpanTracing, trace_id_text
from support.gateway_fixtures import configured, upstream
from support.local_server import LocalServer
from support.recorder_upstream import Heard, Recorder, recorder
from support.waiting import poll_until

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "none": bytes,
}


@pytest.fixture
def collector() -> Iterator[Recorder]:
    with recorder("collector") as found:
        yield found


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """Yields the lines about traces that are logged."""
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage().startswith("traces: "):
                lines.append(record.getMessage())

    handler = Lines()
    logging.getLogger("headgate").addHandler(handler)
    yield lines
    logging.getLogger("headgate").removeHandler(handler)


def received(collector: Recorder) -> list[ResourceSpans]:
    found: list[ResourceSpans] = []
    for heard in collector.heard:
        request = ExportTraceServiceRequest()
        (encoding,) = heard.all("Content-Encoding") or ["none"]
        request.ParseFromString(DECOMPRESS[encoding](heard.body))
        found += request.resource_spans
    return found


def encoded(collector: Recorder) -> list[EncodedSpan]:
    groups = received(collector)
    return [span for group in groups for scope in group.scope_spans for span in scope.spans]


def send(collector: Recorder, *parents: str, failing: bool = False) -> None:
    """Sends the spans of a request with a request to a store for each of *parents*."""
    tracing = SpanTracing(SpanExport(f"{collector.url}/v1/traces"))
    for parent in parents:
        with tracing.request({"traceparent": parent, "tracestate": "a=1"}, "GET") as span:
            assert span is not None
            with tracing.upstream("vm", "select"):
                pass
            span.finish("GET", "/query", 503 if failing else 200)
    tracing.close()


def test_spans_have_their_trace_times_and_attributes(collector: Recorder) -> None:
    send(collector, PARENT, failing=True)
    (group,) = received(collector)
    resource = {it.key: it.value.string_value for it in group.resource.attributes}
    assert resource["service.name"] == "headgate"
    inner, outer = encoded(collector)
    assert outer.trace_id.hex() == inner.trace_id.hex() == TRACE
    assert outer.parent_span_id.hex() == "b7ad6b7169203331"
    assert inner.parent_span_id == outer.span_id
    assert (outer.kind, inner.kind) == (EncodedSpan.SPAN_KIND_SERVER, EncodedSpan.SPAN_KIND_CLIENT)
    assert outer.start_time_unix_nano <= inner.start_time_unix_nano
    assert inner.end_time_unix_nano <= outer.end_time_unix_nano
    assert outer.name == "GET /query"
    assert outer.trace_state == "a=1"
    assert (outer.flags, inner.flags) == (0x301, 0x101)
    assert outer.status.code == Status.STATUS_CODE_ERROR
    assert inner.status.code == Status.STATUS_CODE_UNSET
    values = {it.key: it.value.string_value or it.value.int_value for it in outer.attributes}
    assert values == {
        "http.request.method": "GET",
        "http.route": "/query",
        "http.response.status_code": 503,
    }


NUMBERS = st.integers(0, 2**64 - 1)


@given(
    st.builds(
        Span,
        description=st.builds(
            SpanDescription,
            name=st.text() | st.just("x" * 40_000),
            attributes=st.lists(st.tuples(st.text(), st.text() | st.integers(0, 2**62))).map(tuple),
            is_client=st.booleans(),
            failed=st.booleans(),
        ),
        trace_id=st.integers(1, 2**128 - 1),
        id=st.integers(1, 2**64 - 1),
        parent_id=NUMBERS,
        has_remote_parent=st.booleans(),
        is_sampled=st.just(True),
        state=st.text(st.characters(max_codepoint=0x7E)),
        started_at=NUMBERS,
        ended_at=NUMBERS,
    )
)
def test_any_span_is_read_back_as_it_was(span: Span) -> None:
    scope = ScopeSpans.FromString(encode(span) * 2)
    found, again = scope.spans
    assert found == again
    assert found.trace_id.hex() == trace_id_text(span.trace_id)
    assert int.from_bytes(found.span_id) == span.id
    assert int.from_bytes(found.parent_span_id) == span.parent_id
    assert found.trace_state == span.state
    assert found.start_time_unix_nano == span.started_at
    assert found.end_time_unix_nano == span.ended_at
    assert found.flags == (0x301 if span.has_remote_parent else 0x101)
    wanted = span.description
    assert found.name == wanted.name
    assert (found.kind == EncodedSpan.SPAN_KIND_CLIENT) is wanted.is_client
    assert (found.status.code == Status.STATUS_CODE_ERROR) is wanted.failed
    values = [(it.key, it.value.string_value or it.value.int_value) for it in found.attributes]
    assert values == [(key, value or 0) for key, value in wanted.attributes]


def test_a_name_that_is_no_unicode_ends_no_request(collector: Recorder) -> None:
    tracing = SpanTracing(SpanExport(collector.url))
    with tracing.request({}, "GET"), tracing.upstream("a\udcff", ""):
        pass
    tracing.close()
    assert [span.name for span in encoded(collector)] == ["upstream a?", "GET"]


def test_opentelemetrys_variables_are_obeyed(
    collector: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "gate")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "zone=x")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20t,x-a=1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "gzip")
    send(collector, "")
    (group,) = received(collector)
    resource = {it.key: it.value.string_value for it in group.resource.attributes}
    assert (resource["service.name"], resource["zone"]) == ("gate", "x")
    assert collector.last.all("Authorization") == ["Bearer t"]
    assert collector.last.path == "/v1/traces"


UNWANTED = PARENT.removesuffix("01") + "00"


@pytest.mark.parametrize(
    ("sampler", "parent", "count"),
    [
        ("", "", 2),
        ("", PARENT, 2),
        ("", UNWANTED, 0),
        ("always_on", UNWANTED, 2),
        ("always_off", PARENT, 0),
        ("parentbased_always_off", PARENT, 2),
        ("parentbased_always_off", "", 0),
    ],
)
def test_the_sampler_decides_for_all_spans_of_a_request(
    collector: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    sampler: str,
    parent: str,
    count: int,
) -> None:
    if sampler:
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    send(collector, parent)
    assert len(encoded(collector)) == count


def test_a_share_of_the_traces_is_a_share(
    collector: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    send(collector, *[""] * 400)
    traces: dict[bytes, int] = {}
    for span in encoded(collector):
        traces[span.trace_id] = traces.get(span.trace_id, 0) + 1
    assert set(traces.values()) == {2}
    assert 100 < len(traces) < 300


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("TIMEOUT", "abc", "expected seconds, more than 0 and at most 3600"),
        ("TIMEOUT", "0", "expected seconds, more than 0 and at most 3600"),
        ("TIMEOUT", "nan", "expected seconds, more than 0 and at most 3600"),
        ("TRACES_TIMEOUT", "inf", "expected seconds, more than 0 and at most 3600"),
        (
            "HEADERS",
            "Authorization: Bearer Secret-1",
            "expected NAME=VALUE, with %XX for special characters",
        ),
        (
            "TRACES_HEADERS",
            "a=Secret-1%E2%82%AC",
            "expected NAME=VALUE, with %XX for special characters",
        ),
        ("HEADERS", "a=%0d%0ab", "expected NAME=VALUE, with %XX for special characters"),
        ("COMPRESSION", "zip", "expected none, gzip or deflate"),
        ("CERTIFICATE", "/no/such/file", "No such file or directory"),
        ("CLIENT_CERTIFICATE", "/no/such/file", "No such file or directory"),
        ("CLIENT_KEY", __file__, "expected CLIENT_CERTIFICATE beside it"),
    ],
)
def test_an_invalid_variable_prevents_the_start_and_is_named(
    serve: Callable[..., LocalServer],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    value: str,
    error: str,
) -> None:
    variable = f"OTEL_EXPORTER_OTLP_{name}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(variable, value)
        with pytest.raises(ValueError, match=re.escape(f"{variable}: {error}")):
            collector_options()
        path = tmp_path / "headgate.toml"
        path.write_text("[gateway]\notlp-endpoint = 'http://127.0.0.1:1'\n")
        server = LocalServer(tmp_path / "store.db", ("--config", str(path)))
        assert server.attempt().endswith(f"{variable}: {error}")
    assert "Secret-1" not in "".join(capsys.readouterr())


@pytest.mark.parametrize("compression", ["gzip", "deflate", "none"])
def test_spans_are_compressed(
    collector: Recorder, monkeypatch: pytest.MonkeyPatch, compression: str
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", compression)
    send(collector, "")
    assert len(encoded(collector)) == 2


def passed(moment: float) -> bool:
    return time.monotonic() > moment


def test_spans_that_trickle_wait_for_a_batch(
    collector: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(span_export, "_PAUSE_SECONDS", 0.2)
    tracing = SpanTracing(SpanExport(collector.url))
    begun = time.monotonic()
    for number in range(400):
        with tracing.request({}, "GET"):
            poll_until(partial(passed, begun + number / 1000), "the clock stands still")
    seconds = time.monotonic() - begun
    tracing.close()
    assert len(encoded(collector)) == 400
    assert len(collector.heard) <= seconds / 0.2 + 2


def test_a_collector_with_an_impossible_name_stops_no_later_span(
    logged: list[str],
) -> None:
    tracing = SpanTracing(SpanExport("http://a..b:1"))
    for _ in range(2):
        with tracing.request({}, "GET"):
            pass
    tracing.close()
    (line,) = logged
    assert line.startswith("traces: the collector of otlp-endpoint does not accept spans: ")


def test_a_busy_collector_is_asked_again(collector: Recorder) -> None:
    statuses = [503, 429, 200]
    collector.reply = lambda heard: (statuses.pop(0), {}, b"")
    tracing = SpanTracing(SpanExport(collector.url))
    for _ in range(256):  # a batch is sent at once
        with tracing.request({}, "GET"), tracing.upstream("vm", ""):
            pass
    poll_until(lambda: not statuses, "the batch was not sent again")
    assert len({heard.body for heard in collector.heard}) == 1
    tracing.close()


def test_a_collector_that_refuses_is_logged_once_and_without_its_login(
    logged: list[str],
) -> None:
    answered = threading.Event()

    def reply(heard: Heard) -> tuple[int, dict[str, str], bytes]:
        answered.set()
        return 400, {}, b"no"

    with recorder(reply=reply) as refusing:
        export = SpanExport(refusing.url.replace("//", "//me:Secret-1@"))
        tracing = SpanTracing(export)
        for _ in range(2):
            answered.clear()
            for _ in range(256):
                with tracing.request({}, "GET"), tracing.upstream("vm", ""):
                    pass
            assert answered.wait(20)
        tracing.close()
    (line,) = logged
    assert line == "traces: the collector of otlp-endpoint does not accept spans: status 400"


def test_spans_beyond_the_queue_are_dropped_and_the_server_goes_on(
    logged: list[str],
) -> None:
    goes_on = threading.Event()

    def reply(heard: Heard) -> tuple[int, dict[str, str], bytes]:
        goes_on.wait(20)
        return 200, {}, b""

    with recorder(reply=reply) as slow:
        tracing = SpanTracing(SpanExport(slow.url))
        for _ in range(10_000):
            with tracing.request({}, "GET"):
                pass
        goes_on.set()
        tracing.close()
        kept = len(encoded(slow))
    assert 8192 <= kept < 10_000
    (line,) = logged
    assert line == f"traces: {10_000 - kept} spans were dropped, because too many waited"


def test_a_servers_end_sends_the_spans_that_wait(
    serve: Callable[..., LocalServer], tmp_path: Path, collector: Recorder
) -> None:
    with recorder() as store:
        table = upstream("mimir", urls=[store.url], tenant_name="everyone")
        lines = f'allow-anonymous = true\notlp-endpoint = "{collector.url}"'
        server = configured(serve, tmp_path, table, gateway=lines)
        assert server.request("GET", "/prometheus/api/v1/query?query=up").status == 200
        server.stop()
    assert {span.name for span in encoded(collector)} >= {"upstream mimir"}
