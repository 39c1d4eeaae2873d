"""The messages of etcd's API (version 3) that a log needs, as classes of Protocol Buffers.

Names and numbers of fields are those of etcd's definitions. Fields that are not needed are missing.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "headgate.etcd"
_Field = tuple[str, int, str]  # name, number, and the type; `*` before it: repeated
_MESSAGES: dict[str, tuple[_Field, ...]] = {
    "ResponseHeader": (("revision", 3, "int64"),),
    "KeyValue": (("key", 1, "bytes"), ("mod_revision", 3, "int64"), ("value", 5, "bytes")),
    "Event": (("type", 1, "int32"), ("kv", 2, "KeyValue")),
    "RangeRequest": (
        ("key", 1, "bytes"),
        ("range_end", 2, "bytes"),
        ("limit", 3, "int64"),
        ("revision", 4, "int64"),
        ("sort_order", 5, "int32"),
        ("serializable", 7, "bool"),
        ("keys_only", 8, "bool"),
    ),
    "RangeResponse": (
        ("header", 1, "ResponseHeader"),
        ("kvs", 2, "*KeyValue"),
        ("more", 3, "bool"),
    ),
    "PutRequest": (("key", 1, "bytes"), ("value", 2, "bytes"), ("lease", 3, "int64")),
    "PutResponse": (("header", 1, "ResponseHeader"),),
    "DeleteRangeRequest": (("key", 1, "bytes"), ("range_end", 2, "bytes")),
    "DeleteRangeResponse": (("header", 1, "ResponseHeader"), ("deleted", 2, "int64")),
    "RequestOp": (
        ("request_range", 1, "RangeRequest"),
        ("request_put", 2, "PutRequest"),
        ("request_delete_range", 3, "DeleteRangeRequest"),
    ),
    "ResponseOp": (("response_range", 1, "RangeResponse"),),
    "Compare": (
        ("result", 1, "int32"),
        ("target", 2, "int32"),
        ("key", 3, "bytes"),
        ("mod_revision", 6, "int64"),
    ),
    "TxnRequest": (
        ("compare", 1, "*Compare"),
        ("success", 2, "*RequestOp"),
        ("failure", 3, "*RequestOp"),
    ),
    "TxnResponse": (
        ("header", 1, "ResponseHeader"),
        ("succeeded", 2, "bool"),
        ("responses", 3, "*ResponseOp"),
    ),
    "WatchCreateRequest": (
        ("key", 1, "bytes"),
        ("range_end", 2, "bytes"),
        ("start_revision", 3, "int64"),
    ),
    "WatchRequest": (("create_request", 1, "WatchCreateRequest"),),
    "WatchResponse": (
        ("header", 1, "ResponseHeader"),
        ("created", 3, "bool"),
        ("canceled", 4, "bool"),
        ("compact_revision", 5, "int64"),
        ("cancel_reason", 6, "string"),
        ("events", 11, "*Event"),
    ),
    "AuthenticateRequest": (("name", 1, "string"), ("password", 2, "string")),
    "AuthenticateResponse": (("token", 2, "string"),),
    "LeaseGrantRequest": (("TTL", 1, "int64"),),
    "LeaseGrantResponse": (("ID", 2, "int64"),),
    "StatusRequest": (),
    "StatusResponse": (
        ("db_size", 3, "int64"),
        ("db_size_in_use", 9, "int64"),
        ("db_size_quota", 12, "int64"),  # 0 before etcd 3.6
    ),
}
# Values of the enumerations.
EQUAL, MOD_REVISION, ASCENDING, DESCENDING, DELETED = 0, 2, 1, 2, 1


def _classes() -> dict[str, Any]:
    types = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="headgate/etcd.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            plain = kind.removeprefix("*")
            is_message = plain in _MESSAGES
            message.field.add(
                name=field,
                number=number,
                label=types.LABEL_REPEATED if kind != plain else types.LABEL_OPTIONAL,
                type=types.TYPE_MESSAGE if is_message else getattr(types, f"TYPE_{plain.upper()}"),
                type_name=f".{_PACKAGE}.{plain}" if is_message else None,
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in _MESSAGES
    }


_CLASSES = _classes()
RangeRequest: Any = _CLASSES["RangeRequest"]
RangeResponse: Any = _CLASSES["RangeResponse"]
PutRequest: Any = _CLASSES["PutRequest"]
DeleteRangeRequest: Any = _CLASSES["DeleteRangeRequest"]
DeleteRangeResponse: Any = _CLASSES["DeleteRangeResponse"]
RequestOp: Any = _CLASSES["RequestOp"]
Compare: Any = _CLASSES["Compare"]
TxnRequest: Any = _CLASSES["TxnRequest"]
TxnResponse: Any = _CLASSES["TxnResponse"]
WatchCreateRequest: Any = _CLASSES["WatchCreateRequest"]
WatchRequest: Any = _CLASSES["WatchRequest"]
WatchResponse: Any = _CLASSES["WatchResponse"]
AuthenticateRequest: Any = _CLASSES["AuthenticateRequest"]
AuthenticateResponse: Any = _CLASSES["AuthenticateResponse"]
PutResponse: Any = _CLASSES["PutResponse"]
LeaseGrantRequest: Any = _CLASSES["LeaseGrantRequest"]
LeaseGrantResponse: Any = _CLASSES["LeaseGrantResponse"]
StatusRequest: Any = _CLASSES["StatusRequest"]
StatusResponse: Any = _CLASSES["StatusResponse"]
