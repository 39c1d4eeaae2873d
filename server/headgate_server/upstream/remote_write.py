"""Decodes and encodes Prometheus' remote write 1.0. Uses the library protobuf.

Only labels are decoded. Samples, exemplars, histograms and metadata stay as they are encoded. Other
fields are dropped, because a store could read them in another way.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

_PACKAGE = "headgate"
# The fields of each message: name, number, and the message of the field, or "" for bytes.
_MESSAGES = {
    "Label": (("name", 1, ""), ("value", 2, "")),
    "TimeSeries": (
        *(("labels", 1, "Label"), ("samples", 2, "")),
        *(("exemplars", 3, ""), ("histograms", 4, "")),
    ),
    "WriteRequest": (("timeseries", 1, "TimeSeries"), ("metadata", 3, "")),
}
_SINGLE_FIELDS = frozenset({"name", "value"})


class MalformedBody(Exception):
    """The body is no remote write."""


def decode_write_request(content: bytes) -> Any:
    """Returns the message in *content*: `timeseries` with `labels`, each with `name` and `value`.

    Raises MalformedBody.
    """
    message = _WriteRequest()
    try:
        message.ParseFromString(content)
    except DecodeError:
        raise MalformedBody from None
    message.DiscardUnknownFields()
    return message


def encode_write_request(message: Any) -> bytes:
    """Returns *message*, a result of `decode_write_request`, as bytes."""
    encoded: bytes = message.SerializeToString()
    return encoded


def _message_class() -> Any:
    types = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="headgate/remote_write.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            single = field in _SINGLE_FIELDS
            message.field.add(
                name=field,
                number=number,
                label=types.LABEL_OPTIONAL if single else types.LABEL_REPEATED,
                type=types.TYPE_MESSAGE if kind else types.TYPE_BYTES,
                type_name=f".{_PACKAGE}.{kind}" if kind else None,
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = pool.FindMessageTypeByName(f"{_PACKAGE}.WriteRequest")
    return message_factory.GetMessageClass(found)


_WriteRequest = _message_class()
