"""Traces of requests, with the extra `otel`. Uses OpenTelemetry.

Each client request has a span. Each request to an upstream store has a span inside it. The trace
context is received and sent as W3C's `traceparent`. No attribute holds a statement, a path or a
secret.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol

_PROPAGATED_HEADERS = ("traceparent", "tracestate")


# W3C Trace Context, section 3.2: version, id of the trace, id of the caller's span, flags.
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class RequestSpan:
    """The span of a request. *finish* is called with the route and the status at its end."""

    trace_id: str
    finish: Callable[[str, int], None]


def incoming_trace_id(headers: Mapping[str, str]) -> str:
    """Returns the id of the trace in the header `traceparent`, or ""."""
    found = _TRACEPARENT.match(headers.get("traceparent", ""))
    return found[1] if found is not None else ""


class Tracing(Protocol):
    """Creates spans for requests."""

    def request(
        self, headers: Mapping[str, str], method: str
    ) -> AbstractContextManager[RequestSpan | None]:
        """Traces a request while the context is open.

        Yields None if requests are not traced.
        """
        ...

    def upstream(self, name: str, component: str) -> AbstractContextManager[Mapping[str, str]]:
        """Traces a request to the upstream store *name* while the context is open.

        Yields headers for that request, which propagate the trace context to the store.
        """
        ...


class NoTracing:
    """Implements `Tracing` without any span, for a server without `otlp-endpoint`."""

    def request(
        self, headers: Mapping[str, str], method: str
    ) -> AbstractContextManager[RequestSpan | None]:
        """Returns a context that yields None."""
        return _NOT_TRACED

    def upstream(self, name: str, component: str) -> AbstractContextManager[Mapping[str, str]]:
        """Returns a context that yields no headers."""
        return _NO_HEADERS


_NOT_TRACED: AbstractContextManager[RequestSpan | None] = nullcontext()
_NO_HEADERS: AbstractContextManager[Mapping[str, str]] = nullcontext({})


class OpenTelemetryTracing:
    """Implements `Tracing` with *provider*, an OpenTelemetry TracerProvider."""

    def __init__(self, provider: Any) -> None:
        from opentelemetry.trace import SpanKind, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer("headgate")
        self._propagator = TraceContextTextMapPropagator()
        self._kinds, self._failed = SpanKind, StatusCode.ERROR

    @contextmanager
    def request(self, headers: Mapping[str, str], method: str) -> Iterator[RequestSpan | None]:
        """Traces a request as a server span. Yields the span."""
        incoming = {name: headers[name] for name in _PROPAGATED_HEADERS if name in headers}
        with self._tracer.start_as_current_span(
            method,
            context=self._propagator.extract(incoming),
            kind=self._kinds.SERVER,
            attributes={"http.request.method": method},
            record_exception=False,  # its text may hold private data
            set_status_on_exception=False,
        ) as span:

            def finish(route: str, status: int) -> None:
                span.update_name(f"{method} {route}")
                span.set_attribute("http.route", route)
                span.set_attribute("http.response.status_code", status)
                if status >= 500:
                    span.set_status(self._failed)

            yield RequestSpan(f"{span.get_span_context().trace_id:032x}", finish)

    @contextmanager
    def upstream(self, name: str, component: str) -> Iterator[Mapping[str, str]]:
        """Traces a request to the upstream *name* as a client span. Yields the headers to send."""
        headers: dict[str, str] = {}
        with self._tracer.start_as_current_span(
            f"upstream {name}",
            kind=self._kinds.CLIENT,
            attributes={"headgate.upstream": name, "headgate.component": component},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            self._propagator.inject(headers)
            try:
                yield headers
            except BaseException:
                span.set_status(self._failed)
                raise

    def close(self) -> None:
        """Sends the spans that are not sent yet, and shuts *provider* down."""
        self._provider.shutdown()


def available() -> bool:
    """Returns whether the extra `otel` is installed."""
    return find_spec("opentelemetry") is not None and find_spec("opentelemetry.sdk") is not None


def tracing(endpoint: str) -> NoTracing | OpenTelemetryTracing:
    """Returns a `Tracing` that sends spans to the OTLP collector at *endpoint*.

    Returns `NoTracing` if *endpoint* is "". Any other *endpoint* needs the extra `otel`.
    """
    if not endpoint:
        return NoTracing()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": "headgate"}))
    exporter = OTLPSpanExporter(endpoint.rstrip("/") + "/v1/traces", timeout=5)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return OpenTelemetryTracing(provider)
