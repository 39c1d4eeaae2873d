"""Recognizes files of InfluxDB and other programs that a user may mistake for a user store."""

import re
from pathlib import Path

_VARINT = rb"[\x80-\xff]{0,9}[\x00-\x7f]"
# A protobuf message: term, index and cluster id, then databases, users or counters. `influxd
# backup` writes a magic number and a length before the message. `influxd backup -portable` writes
# another field before the message instead.
_INFLUXDB_1 = re.compile(
    rb"(?:\x00{4}YY\x01\x01.{8}|\x0a" + _VARINT + rb")?"
    rb"\x08" + _VARINT + rb"\x10" + _VARINT + rb"\x18" + _VARINT + rb"[\x2a\x32\x38]",
    re.DOTALL,
)
# A page header of bbolt, then the magic number of its meta page.
_BOLT = re.compile(rb".{16}\xed\xda\x0c\xed", re.DOTALL)
_HEAD_BYTES = 64


def known_format(path: Path) -> str:
    """Returns what the first bytes of *path* show it to be, or "" for an unknown format."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return ""
    if _INFLUXDB_1.match(head):
        return "InfluxDB 1.x's user database (its meta.db, or a backup of that)"
    if _BOLT.match(head):
        return "a bbolt database, such as InfluxDB 2's influxd.bolt"
    return ""
