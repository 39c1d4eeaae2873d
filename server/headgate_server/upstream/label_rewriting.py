"""Renames a client's own label `db` to `exported_db` in data for VictoriaMetrics.

Headgate sets the label `db` itself, to the name of the database. Prometheus renames labels in the
same way with `honor_labels: false`. There is a pure function of bytes for each format, such as
`rename_in_lines`. `rename_stream` applies such a function to a stream. Where parsers of a format
differ, everything that any parser could read as the label is renamed.
"""

import json
import re
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Collection, Iterator

from headgate_server.upstream.snappy import compress, decompress

DATABASE_LABEL = "db"
_LABEL_BYTES = DATABASE_LABEL.encode()
_EXPORTED_PREFIX = "exported_"
LabelRenamer = Callable[[bytes], bytes]

# Line protocol: measurement and tags, up to the first space without a backslash.
_LINE_HEAD_PATTERN = re.compile(rb"[ \t]*(?:\\.|[^\\ ])*", re.DOTALL)
_TAG_PATTERN = re.compile(rb"(?:\\.|[^\\,])*(?:,|\\?\Z)", re.DOTALL)
# Prometheus' text format: quoted strings, names, and the punctuation between them.
_TOKEN_PATTERN = re.compile(rb'"(?:[^"\\]|\\.)*"|[^"{}=, \t]+|[ \t]+|.', re.DOTALL)
_TEXT_LABEL_PATTERN = re.compile(rb'db"?[ \t]*=')
# JSON: the key "db" in any spelling, and every key.
_JSON_LABEL_PATTERN = re.compile(rb'"(?:d|\\u0064)(?:b|\\u0062)"')
_JSON_KEY_PATTERN = re.compile(rb'"((?:[^"\\]|\\.)*)"(\s*:)?', re.DOTALL)
# Protobuf: the length 2 as a varint, which may be overlong, and the name.
_PROTOBUF_LABEL_PATTERN = re.compile(rb"(?:\x02|\x82\x80*\x00)db")
_COLUMN_PATTERN = re.compile(r"([^:]*:label:)db\Z")


class MalformedBody(Exception):
    """The body cannot be parsed, so Headgate cannot rename a label `db` in it."""


def exported_name(names: Collection[str]) -> str:
    """Returns the new name of a client's own label `db`.

    That is `exported_db`. While *names* contains the result, another prefix `exported_` is added.
    """
    name = _EXPORTED_PREFIX + DATABASE_LABEL
    while name in names:
        name = _EXPORTED_PREFIX + name
    return name


async def rename_stream(
    parts: AsyncIterable[bytes], rename: LabelRenamer
) -> AsyncGenerator[bytes, None]:
    """Yields *parts* with *rename* applied. Each call of *rename* receives whole lines."""
    pending: list[bytes] = []
    async for part in parts:
        end = part.rfind(b"\n") + 1
        if not end:
            pending.append(part)
            continue
        pending.append(part[:end])
        yield rename(b"".join(pending))
        pending = [part[end:]]
    if rest := b"".join(pending):
        yield rename(rest)


def rename_in_lines(block: bytes) -> bytes:
    """Returns whole lines of line protocol with the tag `db` renamed."""
    if b",db=" not in block:
        return block
    return b"\n".join(
        [_rename_in_line(line) if b",db=" in line else line for line in block.split(b"\n")]
    )


def _rename_in_line(line: bytes) -> bytes:
    found = _LINE_HEAD_PATTERN.match(line)
    head = found.group() if found is not None else b""
    parts = [part.group() for part in _TAG_PATTERN.finditer(head) if part.group()]
    names = [part.partition(b"=")[0] for part in parts]
    if _LABEL_BYTES not in names[1:]:
        return line
    name = exported_name({one.decode("latin-1") for one in names}).encode()
    renamed = [
        name + part[len(_LABEL_BYTES) :] if place and names[place] == _LABEL_BYTES else part
        for place, part in enumerate(parts)
    ]
    return b"".join(renamed) + line[len(head) :]


def rename_in_text(block: bytes) -> bytes:
    """Returns whole lines of Prometheus' text format with the label `db` renamed."""
    if _TEXT_LABEL_PATTERN.search(block) is None:
        return block
    return b"\n".join(
        [
            _rename_in_sample(line) if _TEXT_LABEL_PATTERN.search(line) else line
            for line in block.split(b"\n")
        ]
    )


def _rename_in_sample(line: bytes) -> bytes:
    start = line.find(b"{")
    if start < 0 or line.lstrip().startswith(b"#"):
        return line
    tokens = _TOKEN_PATTERN.findall(line, start + 1)
    indexes = list(_label_name_indexes(tokens))
    names = {tokens[place].strip(b'"').decode("latin-1") for place in indexes}
    if DATABASE_LABEL not in names:
        return line
    new = exported_name(names).encode()
    for place in indexes:
        if tokens[place].strip(b'"') == _LABEL_BYTES:
            tokens[place] = tokens[place].replace(_LABEL_BYTES, new)
    return line[: start + 1] + b"".join(tokens)


def _label_name_indexes(tokens: list[bytes]) -> Iterator[int]:
    """Yields the indexes of label names: the tokens before `=`, up to the closing brace."""
    last = None
    value = False
    for index, token in enumerate(tokens):
        if not token.strip(b" \t"):
            continue
        if token == b"}" and not value:
            return
        if token == b"=" and last is not None:
            yield last
        value = token == b"="
        last = None if value or token in (b",", b"{") else index


def rename_in_json(block: bytes) -> bytes:
    """Returns whole lines of VictoriaMetrics' JSON format with the label `db` renamed."""
    if _JSON_LABEL_PATTERN.search(block) is None:
        return block
    return b"\n".join(
        [
            _rename_in_object(line) if _JSON_LABEL_PATTERN.search(line) else line
            for line in block.split(b"\n")
        ]
    )


def _rename_in_object(line: bytes) -> bytes:
    names = {
        _decode_key(found) for found in _JSON_KEY_PATTERN.finditer(line) if found[2] is not None
    }
    name = json.dumps(exported_name(names)).encode()

    def renamed(found: re.Match[bytes]) -> bytes:
        if found[2] is None or _decode_key(found) != DATABASE_LABEL:
            return found[0]
        return name + found[2]

    return _JSON_KEY_PATTERN.sub(renamed, line)


def _decode_key(found: re.Match[bytes]) -> str:
    """Returns the JSON key that *found* matches, with its escapes decoded."""
    try:
        key: str = json.loads(b'"%b"' % found[1])
    except ValueError:
        return found[1].decode("latin-1")
    return key


def rename_in_columns(format: str) -> str:
    """Returns *format*, the parameter that lists the columns of a CSV import.

    A column for the label `db` is renamed in the result.
    """
    columns = format.split(",")
    names = {column.split(":", 2)[2] for column in columns if column.count(":") >= 2}
    if DATABASE_LABEL not in names:
        return format
    name = exported_name(names)
    return ",".join(_COLUMN_PATTERN.sub(rf"\g<1>{name}", column) for column in columns)


def rename_in_remote_write(block: bytes, max_bytes: int) -> bytes:
    """Returns the body of a remote write with the label `db` renamed.

    *block*, in Snappy's format, is returned unchanged if no series has the label. Raises
    InvalidBlock for invalid Snappy, and MalformedBody for invalid protobuf. Raises BlockTooLarge
    for more than *max_bytes* decompressed bytes (0: no limit).
    """
    content = decompress(block, max_bytes)
    if _PROTOBUF_LABEL_PATTERN.search(content) is None:
        return block
    renamed = _rewrite_field(content, _rename_in_series)
    return block if renamed == content else compress(renamed)


def _rewrite_field(message: bytes, rewrite: LabelRenamer) -> bytes:
    """Returns the protobuf *message* with *rewrite* applied to each value of its field 1."""
    parts: list[bytes] = []
    for start, number, content in _iter_fields(message):
        if number == 1 and content is not None:
            parts.append(_encode_field(1, rewrite(content)))
        else:
            parts.append(start)
    return b"".join(parts)


def _rename_in_series(message: bytes) -> bytes:
    if _PROTOBUF_LABEL_PATTERN.search(message) is None:
        return message
    names = {
        _label_name(content).decode("latin-1")
        for _, number, content in _iter_fields(message)
        if number == 1 and content is not None
    }
    if DATABASE_LABEL not in names:
        return message
    name = exported_name(names).encode()
    return _rewrite_field(message, lambda label: _rename_label(label, name))


def _label_name(message: bytes) -> bytes:
    """Returns the label name in *message*, a protobuf label. The last of several names counts."""
    names = [content for _, number, content in _iter_fields(message) if number == 1 and content]
    return names[-1] if names else b""


def _rename_label(message: bytes, name: bytes) -> bytes:
    return _rewrite_field(message, lambda old: name if old == _LABEL_BYTES else old)


def _iter_fields(message: bytes) -> Iterator[tuple[bytes, int, bytes | None]]:
    """Yields the bytes, the number and the content of each field in the protobuf *message*.

    The content is None if the field is not length-delimited. Raises MalformedBody for an invalid
    message.
    """
    offset = 0
    while offset < len(message):
        start = offset
        key, offset = _read_varint(message, offset)
        content = None
        match key & 7:
            case 0:
                _, offset = _read_varint(message, offset)
            case 1:
                offset += 8
            case 2:
                length, offset = _read_varint(message, offset)
                content = message[offset : offset + length]
                offset += length
            case 5:
                offset += 4
            case _:
                raise MalformedBody
        if offset > len(message):
            raise MalformedBody
        yield message[start:offset], key >> 3, content


def _read_varint(message: bytes, offset: int) -> tuple[int, int]:
    """Returns the varint at *offset*, and the offset after it. Raises MalformedBody."""
    number = 0
    for shift in range(0, 70, 7):
        if offset >= len(message):
            break
        byte = message[offset]
        offset += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, offset
    raise MalformedBody


def _encode_field(number: int, content: bytes) -> bytes:
    """Returns the encoded length-delimited field *number* with *content*."""
    head = bytearray([number << 3 | 2])
    length = len(content)
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head) + content
