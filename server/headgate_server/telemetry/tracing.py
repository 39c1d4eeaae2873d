"""Traces of requests: spans, their context, and which requests have any.

Each client request has a span. Each request to an upstream store has a span inside it. The trace
context is received and sent as W3C's `traceparent`. No attribute holds a statement, a path or a
secret. A span is a small object, and `SpanExport` alone knows OpenTelemetry's format.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from random import getrandbits
from types import TracebackType
from typing import Protocol, Self

# W3C Trace Context, section 3.2: version, id of the trace, id of the caller's span, flags.
# Version 00 ends after the flags.
_TRACEPARENT = re.compile(
    r"(?!ff|00.{54})[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?"
)
_SAMPLED = 1  # W3C Trace Context, section 3.2.2.5.1
TRACE_HEADERS = frozenset({"traceparent", "tracestate"})
Fields = Sequence[tuple[str, str]]  # header fields
_STATE = re.compile(r"[\x20-\x7e]{1,512}")  # the header `tracestate`; a longer one may be dropped


@dataclass(slots=True)
class Span:
    """A request, or a request to an upstream store. Times are nanoseconds since the epoch.

    *trace_id*, *id* and *parent_id* ("" without a parent) are hexadecimal. With *has_remote_parent*
    the parent is a span of the client. *state* is the header `tracestate`.
    """

    name: str
    attributes: tuple[tuple[str, str | int], ...]
    trace_id: str
    id: str
    parent_id: str
    has_remote_parent: bool
    is_sampled: bool
    state: str
    is_client: bool
    started_at: int
    ended_at: int = 0
    failed: bool = False


class SpanSink(Protocol):
    """What becomes of spans."""

    def is_sampled(self, trace_id: str, method: str, parent: tuple[str, bool] | None) -> bool:
        """Returns whether the spans of a request are wanted.

        *parent* is the id of the client's span, and whether the client wants it sampled.
        """
        ...

    def add(self, span: Span) -> None:
        """Takes *span*, which has ended. Must not wait."""
        ...

    def close(self) -> None:
        """Sends the spans that are not sent yet. Blocking."""
        ...


class RequestSpan(Protocol):
    """The span of a request."""

    trace_id: str

    def finish(self, route: str, status: int) -> None:
        """Notes the route and the status of the response."""
        ...


class Tracing(Protocol):
    """Creates spans for requests."""

    def request(
        self, headers: Mapping[str, str], method: str
    ) -> AbstractContextManager[RequestSpan | None]:
        """Traces a request while the context is open.

        Yields None if requests are not traced.
        """
        ...

    def upstream(self, name: str, component: str) -> AbstractContextManager[Fields]:
        """Traces a request to the upstream store *name* while the context is open.

        Yields headers for that request, which propagate the trace context to the store. They
        replace those of the client: all of TRACE_HEADERS. There are none without tracing.
        """
        ...


def incoming_trace_id(headers: Mapping[str, str]) -> str:
    """Returns the id of the trace in the header `traceparent`, or ""."""
    found = _TRACEPARENT.fullmatch(headers.get("traceparent", ""))
    return found[1] if found is not None else ""


class NoTracing:
    """Implements `Tracing` without any span, for a server without `otlp-endpoint`."""

    def request(
        self, headers: Mapping[str, str], method: str
    ) -> AbstractContextManager[RequestSpan | None]:
        """Returns a context that yields None."""
        return _NOT_TRACED

    def upstream(self, name: str, component: str) -> AbstractContextManager[Fields]:
        """Returns a context that yields no headers."""
        return _NO_HEADERS


_NOT_TRACED: AbstractContextManager[RequestSpan | None] = nullcontext()
_NO_HEADERS: AbstractContextManager[Fields] = nullcontext(())
_request_span: ContextVar[Span | None] = ContextVar("request_span", default=None)


class SpanTracing:
    """Implements `Tracing`. Spans that have ended go to *sink*."""

    def __init__(self, sink: SpanSink) -> None:
        self._sink = sink

    def request(
        self, headers: Mapping[str, str], method: str
    ) -> AbstractContextManager[RequestSpan | None]:
        """Traces a request as a server span."""
        text = headers.get("traceparent", "")
        found = _TRACEPARENT.fullmatch(text) if text else None
        if found is None:
            trace_id, parent_id, state, parent = _new_trace_id(), "", "", None
        else:
            trace_id, parent_id, flags = found.groups()
            state = headers.get("tracestate", "")
            state = state if _STATE.fullmatch(state) is not None else ""
            parent = (parent_id, bool(int(flags, 16) & _SAMPLED))
        span = Span(
            method,
            (),  # the caller names the route and the status by `finish`
            trace_id,
            _new_id(),
            parent_id,
            has_remote_parent=parent is not None,
            is_sampled=self._sink.is_sampled(trace_id, method, parent),
            state=state,
            is_client=False,
            started_at=_now(),
        )
        return _RequestContext(span, self._sink.add)

    def upstream(self, name: str, component: str) -> AbstractContextManager[Fields]:
        """Traces a request to the upstream *name* as a client span. Yields the headers to send."""
        parent = _request_span.get()
        if parent is None:  # a request of the server itself, such as a probe
            trace_id, parent_id, state = _new_trace_id(), "", ""
            sampled = self._sink.is_sampled(trace_id, name, None)
        else:
            trace_id, parent_id, state = parent.trace_id, parent.id, parent.state
            sampled = parent.is_sampled
        span = Span(
            f"upstream {name}",
            (("headgate.upstream", name), ("headgate.component", component)),
            trace_id,
            _new_id(),
            parent_id,
            has_remote_parent=False,
            is_sampled=sampled,
            state=state,
            is_client=True,
            started_at=_now(),
        )
        return _UpstreamContext(span, self._sink.add)

    def close(self) -> None:
        """Sends the spans that are not sent yet. Blocking."""
        self._sink.close()


class _RequestContext:
    """The time of a request: its span is the one inside which upstream requests are."""

    __slots__ = ("_add", "_span", "trace_id")

    def __init__(self, span: Span, add: Callable[[Span], None]) -> None:
        self._span, self._add, self.trace_id = span, add, span.trace_id

    def __enter__(self) -> Self:
        _request_span.set(self._span)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _request_span.set(None)
        if self._span.is_sampled:
            self._span.ended_at = _now()
            self._add(self._span)

    def finish(self, route: str, status: int) -> None:
        """Notes the route and the status of the response."""
        span = self._span
        span.attributes = (
            ("http.request.method", span.name),
            ("http.route", route),
            ("http.response.status_code", status),
        )
        span.name, span.failed = f"{span.name} {route}", status >= 500


class _UpstreamContext:
    """The time of a request to an upstream store. Yields the headers to send."""

    __slots__ = ("_add", "_span")

    def __init__(self, span: Span, add: Callable[[Span], None]) -> None:
        self._span, self._add = span, add

    def __enter__(self) -> Fields:
        span = self._span
        parent = f"00-{span.trace_id}-{span.id}-{'01' if span.is_sampled else '00'}"
        if span.state:
            return ("traceparent", parent), ("tracestate", span.state)
        return (("traceparent", parent),)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._span.is_sampled:
            self._span.failed = kind is not None
            self._span.ended_at = _now()
            self._add(self._span)


def _new_trace_id() -> str:
    """Returns the id of a new trace."""
    return f"{getrandbits(128) or 1:032x}"


def _new_id() -> str:
    """Returns the id of a new span."""
    return f"{getrandbits(64) or 1:016x}"


_now = time.time_ns
