"""Encodes spans as protobuf, in the format of OTLP 1.9."""

from functools import lru_cache
from struct import Struct

from headgate_server.telemetry.tracing import Span, SpanDescription

_REMOTE_PARENT, _LOCAL_PARENT = 0x301, 0x101  # flags: sampled, and whether the parent is remote
# The fields of a span, each after its tag: trace_id, span_id, both times, flags.
_OWN_FIELDS = Struct("<2s16s2s8scQcQ2sI").pack


def encode(span: Span) -> bytes:
    """Returns *span* as the element `spans` of an encoded `ScopeSpans`. Thread-safe.

    Elements one after the other are a list of them. OpenTelemetry's classes encode what many spans
    have alike. The rest is appended here, because those classes take several times as long.
    """
    content = _encoded(span.description) + _OWN_FIELDS(
        b"\x0a\x10",
        span.trace_id.to_bytes(16),
        b"\x12\x08",
        span.id.to_bytes(8),
        b"\x39",
        span.started_at,
        b"\x41",
        span.ended_at,
        b"\x85\x01",
        _REMOTE_PARENT if span.has_remote_parent else _LOCAL_PARENT,
    )
    if span.parent_id:
        content += b"\x22\x08" + span.parent_id.to_bytes(8)
    if span.state:
        content += delimited(b"\x1a", span.state.encode("utf-8", "replace"))
    return delimited(b"\x12", content)


def delimited(tag: bytes, content: bytes) -> bytes:
    """Returns the field *tag* with *content*, a text or an encoded message, and its length."""
    return tag + _varint(len(content)) + content


@lru_cache(1024)
def _varint(number: int) -> bytes:
    """Returns *number* in the encoding of protobuf for lengths."""
    groups = bytearray()
    while number > 127:
        groups.append(number & 127 | 128)
        number >>= 7
    return bytes(groups) + bytes([number])


@lru_cache(1024)
def _encoded(description: SpanDescription) -> bytes:
    """Returns the encoded fields that many spans have alike."""
    # Imported on demand: only servers with a collector need it.
    from opentelemetry.proto.trace.v1.trace_pb2 import Span as EncodedSpan
    from opentelemetry.proto.trace.v1.trace_pb2 import Status

    is_client = description.is_client
    kind = EncodedSpan.SPAN_KIND_CLIENT if is_client else EncodedSpan.SPAN_KIND_SERVER
    encoded = EncodedSpan(name=encodable(description.name), kind=kind)
    for key, value in description.attributes:
        attribute = encoded.attributes.add(key=key)
        if isinstance(value, int):
            attribute.value.int_value = value
        else:
            attribute.value.string_value = encodable(value)
    if description.failed:
        encoded.status.code = Status.STATUS_CODE_ERROR
    return encoded.SerializeToString()


def encodable(text: str) -> str:
    """Returns *text* with `?` in place of what UTF-8 cannot encode."""
    return text.encode("utf-8", "replace").decode()
