"""Reads and writes `meta.db`, the file in which InfluxDB 1.x keeps users and databases.

The file is one message of Protocol Buffers. The numbers of its fields are those of InfluxDB's
`services/meta/internal/meta.proto`. Fields that Headgate does not need are skipped.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BYTES = 10
# Fields of the whole file.
_DATABASES, _USERS, _HIGHEST_IDS = 5, 6, (7, 8, 9)
# influxd starts with any index greater than 1.
_INDEX = 2


class InvalidMetaFile(ValueError):
    """The file is not a complete `meta.db` of InfluxDB 1.x."""


@dataclass(frozen=True, slots=True)
class MetaPolicy:
    """A retention policy. Durations are in nanoseconds."""

    name: str
    duration: int
    shard_duration: int
    replication: int


@dataclass(frozen=True, slots=True)
class MetaDatabase:
    """A database with its retention policies. *default* is the name of the default policy."""

    name: str
    default: str
    policies: Sequence[MetaPolicy]
    continuous_queries: int = 0


@dataclass(frozen=True, slots=True)
class MetaUser:
    """A user. *hash* is of bcrypt. *privileges* maps databases to 0 (none) up to 3 (all)."""

    name: str
    hash: str = field(repr=False)
    admin: bool
    privileges: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class MetaData:
    """The users and databases of an InfluxDB."""

    databases: Sequence[MetaDatabase]
    users: Sequence[MetaUser]


class _Message:
    """The fields of one message by number. Each value is an integer or bytes."""

    def __init__(self, content: bytes) -> None:
        self._fields: dict[int, list[int | bytes]] = {}
        for number, value, _ in _fields(content):
            self._fields.setdefault(number, []).append(value)

    def number(self, field: int) -> int:
        """Returns the required integer *field*."""
        value = self._last(field)
        if not isinstance(value, int):
            raise InvalidMetaFile(f"field {field} is no number")
        return value

    def text(self, field: int) -> str:
        """Returns the required text *field*."""
        value = self._last(field)
        if not isinstance(value, bytes):
            raise InvalidMetaFile(f"field {field} is no text")
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise InvalidMetaFile(f"field {field} is invalid UTF-8") from None

    def messages(self, field: int) -> list["_Message"]:
        """Returns the messages in the repeated *field*."""
        values = self._fields.get(field, [])
        return [_Message(value) for value in values if isinstance(value, bytes)]

    def _last(self, field: int) -> int | bytes:
        if field not in self._fields:
            raise InvalidMetaFile(f"field {field} is missing: the file is incomplete")
        return self._fields[field][-1]


def _fields(content: bytes) -> Iterator[tuple[int, int | bytes, bytes]]:
    """Yields number, value and encoded form of each field in *content*."""
    place = 0
    while place < len(content):
        start = place
        key, place = _varint(content, place)
        kind = key & 7
        if kind == _VARINT:
            value, place = _varint(content, place)
            yield key >> 3, value, content[start:place]
            continue
        if kind == _BYTES:
            size, place = _varint(content, place)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise InvalidMetaFile("it is no message of Protocol Buffers")
        if place + size > len(content):
            raise InvalidMetaFile("it ends too soon")
        value_start, place = place, place + size
        yield key >> 3, content[value_start:place], content[start:place]


def _varint(content: bytes, place: int) -> tuple[int, int]:
    """Returns the variable-length integer at *place*, and the place after it."""
    value = 0
    for index in range(_MAX_VARINT_BYTES):
        if place + index >= len(content):
            raise InvalidMetaFile("it ends too soon")
        byte = content[place + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, place + index + 1
    raise InvalidMetaFile("it is no message of Protocol Buffers")


def parse_meta(content: bytes) -> MetaData:
    """Returns the users and databases in *content*, the bytes of a `meta.db`.

    Raises InvalidMetaFile.
    """
    data = _Message(content)
    for required in (1, 2, 3, *_HIGHEST_IDS):  # 1 to 3 are Term, Index and ClusterID
        data.number(required)
    return MetaData(
        [
            MetaDatabase(
                one.text(1),
                one.text(2),
                [
                    MetaPolicy(it.text(1), it.number(2), it.number(3), it.number(4))
                    for it in one.messages(3)
                ],
                len(one.messages(4)),
            )
            for one in data.messages(_DATABASES)
        ],
        [
            MetaUser(
                one.text(1),
                one.text(2),
                bool(one.number(3)),
                {it.text(1): it.number(2) for it in one.messages(4)},
            )
            for one in data.messages(_USERS)
        ],
    )


def encode_meta(data: MetaData, base: bytes | None = None) -> bytes:
    """Returns the bytes of a `meta.db` with *data*.

    *base* is the content of another `meta.db`: the result keeps all but its users, such as the
    shards of its databases. Without it, the result has a new random cluster id. Raises
    InvalidMetaFile for an invalid *base*.
    """
    known: set[str] = set()
    if base is not None:
        known = {database.name for database in parse_meta(base).databases}
        fields = [(number, encoded) for number, _, encoded in _fields(base) if number != _USERS]
    else:
        fields = [(1, _number(1, 0)), (2, _number(2, _INDEX)), (3, _number(3, _cluster_id()))]
        fields += [(number, _number(number, 0)) for number in _HIGHEST_IDS]
    # As in InfluxDB's own files, the required highest ids are last: a shortened file lacks them.
    head = [encoded for number, encoded in fields if number not in _HIGHEST_IDS]
    tail = [encoded for number, encoded in fields if number in _HIGHEST_IDS]
    new = [database for database in data.databases if database.name not in known]
    users = map(_encode_user, data.users)
    return b"".join([*head, *map(_encode_database, new), *users, *tail])


def _cluster_id() -> int:
    return secrets.randbits(63)


def _encode_database(database: MetaDatabase) -> bytes:
    policies = b"".join(
        _bytes(
            3,
            _bytes(1, policy.name.encode())
            + _number(2, policy.duration)
            + _number(3, policy.shard_duration)
            + _number(4, policy.replication),
        )
        for policy in database.policies
    )
    names = _bytes(1, database.name.encode()) + _bytes(2, database.default.encode())
    return _bytes(_DATABASES, names + policies)


def _encode_user(user: MetaUser) -> bytes:
    privileges = b"".join(
        _bytes(4, _bytes(1, database.encode()) + _number(2, privilege))
        for database, privilege in user.privileges.items()
    )
    names = _bytes(1, user.name.encode()) + _bytes(2, user.hash.encode())
    return _bytes(_USERS, names + _number(3, int(user.admin)) + privileges)


def _number(field: int, value: int) -> bytes:
    return _encoded_varint(field << 3 | _VARINT) + _encoded_varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _encoded_varint(field << 3 | _BYTES) + _encoded_varint(len(value)) + value


def _encoded_varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
