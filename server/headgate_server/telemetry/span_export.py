"""Sends spans to an OTLP/HTTP collector, with the extra `otel`.

A span is encoded when it ends, and a thread sends the spans in batches. OpenTelemetry's own spans
take more CPU time than the request that they describe.
"""

import gzip
import os
import threading
from collections import deque
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from struct import Struct

from headgate_server.telemetry.logging import log_info, log_warning
from headgate_server.telemetry.tracing import NoTracing, Span, SpanTracing

# OpenTelemetry's defaults for a batch, its queue, and the time until a batch is sent; then the
# seconds for a request, and the attempts for a batch. Only these statuses may be sent again
# (OTLP 1.9, section "Failures").
_BATCH, _QUEUE, _PAUSE_SECONDS = 512, 8192, 5.0
_TIMEOUT_SECONDS = 5.0
_ATTEMPTS = 4
_RETRIED_STATUSES = (429, 502, 503, 504)


def available() -> bool:
    """Returns whether the extra `otel` is installed."""
    return all(find_spec(name) for name in ("opentelemetry", "requests")) and all(
        find_spec(name) for name in ("opentelemetry.proto", "opentelemetry.sdk")
    )


def tracing(endpoint: str) -> NoTracing | SpanTracing:
    """Returns a `Tracing` that sends spans to the OTLP collector at *endpoint*.

    Returns `NoTracing` if *endpoint* is "", or if `OTEL_SDK_DISABLED` is `true`. Any other
    *endpoint* needs the extra `otel`.
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
        from opentelemetry.sdk.trace.sampling import Decision

        resource = Resource.create(_own_name())
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._sampler, self._sampled = provider.sampler, Decision.RECORD_AND_SAMPLE
        self._resource, self._trace = resource, trace
        self._collector = _Collector(url)
        self._spans: deque[bytes] = deque()  # encoded
        self._dropped = 0
        self._is_closed, self._wanted = False, threading.Event()
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    def is_sampled(self, trace_id: str, method: str, parent: tuple[str, bool] | None) -> bool:
        """Returns whether the spans of a request are wanted: see `SpanSink`."""
        trace = self._trace
        number, context = int(trace_id, 16), None
        if parent is not None:
            id, wanted = parent
            remote = trace.SpanContext(
                number, int(id, 16), is_remote=True, trace_flags=trace.TraceFlags(int(wanted))
            )
            context = trace.set_span_in_context(trace.NonRecordingSpan(remote))
        result = self._sampler.should_sample(context, number, method, trace.SpanKind.SERVER)
        return result.decision is self._sampled

    def add(self, span: Span) -> None:
        """Takes *span*, which has ended. Drops it if too many wait."""
        if len(self._spans) >= _QUEUE:
            self._dropped += 1
            return
        self._spans.append(encode(span))
        if len(self._spans) >= _BATCH and not self._wanted.is_set():
            self._wanted.set()

    def close(self) -> None:
        """Sends the spans that wait, for at most some seconds. Blocking."""
        self._is_closed = True
        self._wanted.set()
        self._collector.hurry()
        self._thread.join(2 * _TIMEOUT_SECONDS)

    def _run(self) -> None:
        while True:
            closing = self._wanted.wait(_PAUSE_SECONDS) and self._is_closed
            self._wanted.clear()
            while self._spans:
                batch = [self._spans.popleft() for _ in range(min(_BATCH, len(self._spans)))]
                self._collector.send(self._request(batch))
            if self._dropped:
                log_warning(f"traces: {self._dropped} spans were dropped, because too many waited")
                self._dropped = 0
            if closing:
                return

    def _request(self, spans: list[bytes]) -> bytes:
        """Returns the encoded request with the encoded *spans*."""
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
            ExportTraceServiceRequest,
        )

        request = ExportTraceServiceRequest()
        group = request.resource_spans.add()
        for key, value in self._resource.attributes.items():
            group.resource.attributes.add(key=key).value.string_value = str(value)
        scope = group.scope_spans.add()
        scope.scope.name = "headgate"
        scope.MergeFromString(b"".join(spans))
        return request.SerializeToString()


def encode(span: Span) -> bytes:
    """Returns *span* as the element `spans` of an encoded `ScopeSpans`.

    Elements one after the other are a list of them. OpenTelemetry's classes encode what many spans
    have alike, and the rest is appended, because they take ten times as long.
    """
    parent = b"\x22\x08" + bytes.fromhex(span.parent_id) if span.parent_id else b""
    state = span.state.encode("latin-1", "ignore")
    content = (
        _alike(span.name, span.attributes, span.is_client, span.failed, state)
        + _OWN_FIELDS(
            b"\x0a\x10",
            bytes.fromhex(span.trace_id),
            b"\x12\x08",
            bytes.fromhex(span.id),
            b"\x39",
            span.started_at,
            b"\x41",
            span.ended_at,
            b"\x85\x01",
            0x301 if span.has_remote_parent else 0x101,
        )
        + parent
    )
    return b"\x12" + _varint(len(content)) + content


@lru_cache(1024)
def _varint(number: int) -> bytes:
    """Returns *number* in the encoding of protobuf for lengths."""
    groups = bytearray()
    while number > 127:
        groups.append(number & 127 | 128)
        number >>= 7
    return bytes(groups) + bytes([number])


# The fields of a span, each after its tag: trace_id, span_id, both times, flags.
_OWN_FIELDS = Struct("<2s16s2s8scQcQ2sI").pack


@lru_cache(256)
def _alike(
    name: str,
    attributes: tuple[tuple[str, str | int], ...],
    is_client: bool,
    failed: bool,
    state: bytes,
) -> bytes:
    """Returns the encoded fields that many spans have alike."""
    from opentelemetry.proto.trace.v1.trace_pb2 import Span as EncodedSpan
    from opentelemetry.proto.trace.v1.trace_pb2 import Status

    kind = EncodedSpan.SPAN_KIND_CLIENT if is_client else EncodedSpan.SPAN_KIND_SERVER
    encoded = EncodedSpan(name=_encodable(name), kind=kind, trace_state=state.decode("latin-1"))
    for key, value in attributes:
        attribute = encoded.attributes.add(key=key)
        if isinstance(value, int):
            attribute.value.int_value = value
        else:
            attribute.value.string_value = _encodable(value)
    if failed:
        encoded.status.code = Status.STATUS_CODE_ERROR
    return encoded.SerializeToString()


def _encodable(text: str) -> str:
    """Returns *text* with `?` in place of what UTF-8 cannot encode."""
    return text.encode("utf-8", "replace").decode()


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why the collector did not take a batch, and whether it may be sent again."""

    reason: str
    is_final: bool = False


class _Collector:
    """The OTLP/HTTP collector at *url*. Failures are logged once until it works again."""

    def __init__(self, url: str) -> None:
        import requests
        from opentelemetry.util.re import parse_env_headers

        self._url = url
        self._headers = {"Content-Type": "application/x-protobuf"}
        self._headers |= parse_env_headers(_variable("HEADERS"), liberal=True)
        self._is_compressed = _variable("COMPRESSION") == "gzip"
        if self._is_compressed:
            self._headers["Content-Encoding"] = "gzip"
        self._timeout = float(_variable("TIMEOUT") or _TIMEOUT_SECONDS)
        self._session = requests.Session()
        self._session.verify = _variable("CERTIFICATE") or True
        certificate, key = _variable("CLIENT_CERTIFICATE"), _variable("CLIENT_KEY")
        if certificate:
            self._session.cert = (certificate, key) if key else certificate
        self._failed = False
        self._hurries = threading.Event()

    def hurry(self) -> None:
        """Makes further failures final: the server ends."""
        self._hurries.set()

    def send(self, body: bytes) -> None:
        """Sends *body*. Tries four times while the collector is away or busy. Blocking."""
        if self._is_compressed:
            body = gzip.compress(body, 1)
        error = self._attempt(body)
        for attempt in range(_ATTEMPTS - 1):
            if error is None or error.is_final or self._hurries.wait(2**attempt):
                break
            error = self._attempt(body)
        if error is None and self._failed:
            log_info("traces: the collector accepts spans again")
        elif error is not None and not self._failed:
            log_warning(
                f"traces: the collector of otlp-endpoint does not accept spans: {error.reason}"
            )
        self._failed = error is not None

    def _attempt(self, body: bytes) -> _Refusal | None:
        """Returns None, or why the collector did not take *body*."""
        import requests

        try:
            response = self._session.post(
                self._url, body, headers=self._headers, timeout=self._timeout, allow_redirects=False
            )
        except requests.RequestException as error:
            return _Refusal(type(error).__name__)  # its text has the URL, which may have a login
        status = response.status_code
        if status < 300:
            return None
        return _Refusal(f"status {status}", is_final=status not in _RETRIED_STATUSES)


def _variable(name: str) -> str:
    """Returns the value of OpenTelemetry's variable *name* for the exporter of traces, or ""."""
    for prefix in ("OTEL_EXPORTER_OTLP_TRACES_", "OTEL_EXPORTER_OTLP_"):
        if value := os.environ.get(prefix + name, "").strip():
            return value
    return ""


def _own_name() -> dict[str, str]:
    """Returns the resource's attributes of Headgate: a variable of OpenTelemetry overrides them."""
    variables = os.environ.get("OTEL_SERVICE_NAME"), os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return {} if variables[0] or "service.name=" in variables[1] else {"service.name": "headgate"}
