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
from dataclasses import dataclass, replace
from functools import lru_cache
from random import getrandbits
from types import TracebackType
from typing import Protocol, Self

# W3C Trace Context, section 3.2: version, id of the trace, id of the caller's span, flags.
# Version 00 ends after the flags.
_TRACEPARENT = re.compile(
    r"(?!ff|00.{54})[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?"
)
_SAMPLED = 1  # W3C Trace Context, section 3.2.2.5.1
Fields = Sequence[tuple[str, str]]  # header fields
_STATE = re.compile(r"[\x20-\x7e]{1,512}")  # the header `tracestate`; a longer one may be dropped


@dataclass(frozen=True, slots=True, eq=False)
class SpanDescription:
    """What many spans have alike. Two descriptions are equal only if they are the same object."""

    name: str
    attributes: tuple[tuple[str, str | int], ...]
    is_client: bool
    failed: bool


@dataclass(slots=True)
class Span:
    """A request, or a request to an upstream store. Times are nanoseconds since the epoch.

    *parent_id* is 0 without a parent. With *has_remote_parent* the parent is a span of the client.
    *state* is the header `tracestate`. *ended_at* is 0 until the span has ended.
    """

    description: SpanDescription
    trace_id: int
    id: int
    parent_id: int
    has_remote_parent: bool
    is_sampled: bool
    state: str
    started_at: int
    ended_at: int


class SpanSink(Protocol):
    """What becomes of spans."""

    def is_sampled(self, trace_id: int, method: str, parent: tuple[int, bool] | None) -> bool:
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

    trace_id: int

    def finish(self, method: str, route: str, status: int) -> None:
        """Notes the method and the route of the request, and the status of the response."""
        ...


class Tracing(Protocol):
    """Creates spans for requests. *headers* are the names of those that `upstream` yields."""

    headers: tuple[str, ...]

    def request(
        self, headers: Mapping[str, str], method: str
    ) -> AbstractContextManager[RequestSpan | None]:
        """Traces a request while the context is open.

        Yields None if requests are not traced.
        """
        ...

    def upstream(self, name: str, component: str) -> AbstractContextManager[Fields]:
        """Traces a request to the upstream store *name* while the context is open.

        Yields headers for that request, which propagate the trace context to the store. The
        caller sends them in place of the client's. There are none without tracing.
        """
        ...


def incoming_trace_id(headers: Mapping[str, str]) -> int:
    """Returns the id of the trace in the header `traceparent`, or 0."""
    found = _TRACEPARENT.fullmatch(headers.get("traceparent", ""))
    return int(found[1], 16) if found is not None else 0


def trace_id_text(trace_id: int) -> str:
    """Returns *trace_id* in hexadecimal, as W3C Trace Context has it; "" for 0."""
    return f"{trace_id:032x}" if trace_id else ""


class NoTracing:
    """Implements `Tracing` without any span, for a server without `otlp-endpoint`."""

    headers: tuple[str, ...] = ()

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

    headers: tuple[str, ...] = ("traceparent", "tracestate")

    def __init__(self, sink: SpanSink) -> None:
        self._sink, self._add = sink, sink.add

    def request(
        self, headers: Mapping[str, str], method: str
    ) -> AbstractContextManager[RequestSpan | None]:
        """Traces a request as a server span."""
        text = headers.get("traceparent", "")
        found = _TRACEPARENT.fullmatch(text) if text else None
        if found is None:
            trace_id, parent_id, state, parent = getrandbits(128) or 1, 0, "", None
        else:
            trace_id, parent_id, flags = (int(part, 16) for part in found.groups())
            state = headers.get("tracestate", "")
            state = state if _STATE.fullmatch(state) is not None else ""
            parent = parent_id, bool(flags & _SAMPLED)
        return _RequestSpan(
            _request(method, "", 0),  # until `finish`
            trace_id,
            getrandbits(64) or 1,
            parent_id,
            parent is not None,
            self._sink.is_sampled(trace_id, method, parent),
            state,
            _now(),
            0,
            self._add,
        )

    def upstream(self, name: str, component: str) -> AbstractContextManager[Fields]:
        """Traces a request to the upstream *name* as a client span. Yields the headers to send."""
        parent = _request_span.get()
        if parent is None:  # a request of the server itself, such as a probe
            trace_id, parent_id, state = getrandbits(128) or 1, 0, ""
            sampled = self._sink.is_sampled(trace_id, name, None)
        else:
            trace_id, parent_id, state = parent.trace_id, parent.id, parent.state
            sampled = parent.is_sampled
        return _UpstreamSpan(
            _upstream(name, component),
            trace_id,
            getrandbits(64) or 1,
            parent_id,
            False,
            sampled,
            state,
            _now(),
            0,
            self._add,
        )

    def close(self) -> None:
        """Sends the spans that are not sent yet. Blocking."""
        self._sink.close()


@dataclass(slots=True)
class _RequestSpan(Span):
    """The span of a request. Requests to upstream stores are inside it while it is open."""

    add: Callable[[Span], None]

    def __enter__(self) -> Self:
        _request_span.set(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _request_span.set(None)
        if self.is_sampled:
            self.ended_at = _now()
            self.add(self)

    def finish(self, method: str, route: str, status: int) -> None:
        """Notes the method and the route of the request, and the status of the response."""
        self.description = _request(method, route, status)


@dataclass(slots=True)
class _UpstreamSpan(Span):
    """The span of a request to an upstream store. Yields the headers to send."""

    add: Callable[[Span], None]

    def __enter__(self) -> Fields:
        flags = "01" if self.is_sampled else "00"
        parent = "traceparent", f"00-{self.trace_id:032x}-{self.id:016x}-{flags}"
        return (parent, ("tracestate", self.state)) if self.state else (parent,)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.is_sampled:
            if kind is not None:
                self.description = _failed(self.description)
            self.ended_at = _now()
            self.add(self)


@lru_cache(512)
def _request(method: str, route: str, status: int) -> SpanDescription:
    """Returns the description of a request. *route* and *status* are empty while it runs."""
    if not route and not status:
        return SpanDescription(method, (), is_client=False, failed=False)
    attributes = (
        ("http.request.method", method),
        ("http.route", route),
        ("http.response.status_code", status),
    )
    return SpanDescription(f"{method} {route}", attributes, is_client=False, failed=status >= 500)


@lru_cache(512)
def _upstream(name: str, component: str) -> SpanDescription:
    """Returns the description of a request to *component* of the upstream store *name*."""
    attributes = (("headgate.upstream", name), ("headgate.component", component))
    return SpanDescription(f"upstream {name}", attributes, is_client=True, failed=False)


@lru_cache(512)
def _failed(description: SpanDescription) -> SpanDescription:
    """Returns *description* of a request that failed: for equal arguments the same object."""
    return replace(description, failed=True)


_now = time.time_ns
