"""Sends spans to an OTLP/HTTP collector, with the extra `otel`.

A thread encodes the spans that have ended, and sends them in batches. OpenTelemetry's own spans
take more CPU time than the request that they describe.
"""

import os
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from importlib.util import find_spec

from headgate_server.telemetry.logging import log_warning
from headgate_server.telemetry.span_collector import SpanCollector, collector_options
from headgate_server.telemetry.span_encoding import delimited, encodable, encode
from headgate_server.telemetry.tracing import NoTracing, Span, SpanTracing

# OpenTelemetry's defaults for a batch and the time until one is sent; then the longest queue, and
# the time for which an end waits.
_BATCH, _PAUSE_SECONDS = 512, 5.0
_QUEUE, _MAX_END_SECONDS = 8192, 10.0


def check_tracing() -> None:
    """Raises ValueError, in one line, if spans cannot be sent: see `collector_options`."""
    if not all(map(find_spec, ("opentelemetry", "requests"))) or not all(
        map(find_spec, ("opentelemetry.proto", "opentelemetry.sdk"))
    ):
        raise ValueError("otlp-endpoint: expected the extra otel: pip install 'headgate[otel]'")
    collector_options()


def tracing(endpoint: str) -> NoTracing | SpanTracing:
    """Returns a `Tracing` that sends spans to the OTLP collector at *endpoint*.

    Returns `NoTracing` if *endpoint* is "", or if `OTEL_SDK_DISABLED` is `true`. Any other
    *endpoint* needs the extra `otel`. Raises ValueError, as `check_tracing` does.
    """
    if not endpoint or os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return NoTracing()
    return SpanTracing(SpanExport(endpoint.rstrip("/") + "/v1/traces"))


class SpanExport:
    """Implements `SpanSink`: sends spans by POST to *url*. Thread-safe.

    OpenTelemetry's variables choose the sampler, the resource, and the headers, compression,
    timeout and certificates of requests. If more than 8,192 spans wait, new ones are dropped.
    """

    def __init__(self, url: str) -> None:
        # Imported on demand: only servers with a collector need these libraries.
        from opentelemetry import trace
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.sampling import DEFAULT_ON, Decision

        resource = Resource.create(_own_name())
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._sampler, self._sampled = provider.sampler, Decision.RECORD_AND_SAMPLE
        self._samples_all = provider.sampler is DEFAULT_ON  # all but what the client rejects
        self._encoded_resource = _encoded_resource(resource.attributes)
        self._encoded_scope, self._trace = _encoded_scope(), trace
        self._collector = SpanCollector(url, collector_options())
        self._spans: deque[Span] = deque()
        self._dropped = 0
        self._is_closed, self._wanted = False, threading.Event()
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    def is_sampled(self, trace_id: int, method: str, parent: tuple[int, bool] | None) -> bool:
        """Returns whether the spans of a request are wanted: see `SpanSink`."""
        if self._samples_all:
            return parent is None or parent[1]
        trace, context = self._trace, None
        if parent is not None:
            id, wanted = parent
            remote = trace.SpanContext(
                trace_id, id, is_remote=True, trace_flags=trace.TraceFlags(int(wanted))
            )
            context = trace.set_span_in_context(trace.NonRecordingSpan(remote))
        result = self._sampler.should_sample(context, trace_id, method, trace.SpanKind.SERVER)
        return result.decision is self._sampled

    def add(self, span: Span) -> None:
        """Takes *span*, which has ended. Drops it if too many wait."""
        spans = self._spans
        waiting = len(spans)
        if waiting >= _QUEUE:
            self._dropped += 1
            return
        spans.append(span)
        if waiting + 1 >= _BATCH and not self._wanted.is_set():
            self._wanted.set()

    def close(self) -> None:
        """Sends the spans that wait, for at most 10 s. Blocking."""
        self._is_closed = True
        self._wanted.set()
        self._collector.stop_retrying()
        self._thread.join(_MAX_END_SECONDS)

    def _run(self) -> None:
        """Sends a batch once it is full, and what waits every five seconds."""
        closing = False
        while not closing:
            self._wanted.wait(_PAUSE_SECONDS)
            self._wanted.clear()
            closing = self._is_closed
            self._send_batch()
            while len(self._spans) >= _BATCH or (closing and self._spans):
                self._send_batch()

    def _send_batch(self) -> None:
        batch = [self._spans.popleft() for _ in range(min(_BATCH, len(self._spans)))]
        if batch:
            self._collector.send(self._request(batch))
        if self._dropped:
            log_warning(f"traces: {self._dropped} spans were dropped, because too many waited")
            self._dropped = 0

    def _request(self, spans: Iterable[Span]) -> bytes:
        """Returns the encoded `ExportTraceServiceRequest` with *spans*.

        The fields of an encoded message may stand one after the other, so nothing is decoded.
        """
        scope_spans = self._encoded_scope + b"".join(map(encode, spans))
        return delimited(b"\x0a", self._encoded_resource + delimited(b"\x12", scope_spans))


def _encoded_resource(attributes: Mapping[str, object]) -> bytes:
    """Returns an encoded `ResourceSpans` that has only a resource with *attributes*."""
    from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

    group = ResourceSpans()
    for key, value in attributes.items():
        text = encodable(str(value))
        group.resource.attributes.add(key=encodable(key)).value.string_value = text
    return group.SerializeToString()


def _encoded_scope() -> bytes:
    """Returns an encoded `ScopeSpans` that has only the scope."""
    from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans

    spans = ScopeSpans()
    spans.scope.name = "headgate"
    return spans.SerializeToString()


def _own_name() -> dict[str, str]:
    """Returns the resource's attributes of Headgate: a variable of OpenTelemetry overrides them."""
    listed = os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(",")
    named = any(one.partition("=")[0].strip() == "service.name" for one in listed)
    return {} if named or os.environ.get("OTEL_SERVICE_NAME") else {"service.name": "headgate"}
