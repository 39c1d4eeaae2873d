"""Renames a client's own label `db`, which Headgate needs, to `exported_db`.

Prometheus does the same with `honor_labels: false`. Pure functions of bytes, one for each format;
`renaming` applies them to streams. Where parsers of a format differ, everything that any of them
could read as the label is renamed.
"""

import json
import re
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Collection, Iterator

from headgate_server.upstream.snappy import packed, unpacked

LABEL = "db"
_LABEL = LABEL.encode()
_EXPORTED = "exported_"
Rename = Callable[[bytes], bytes]

# Line protocol: measurement and tags, up to the first space without a backslash.
_HEAD = re.compile(rb"[ \t]*(?:\\.|[^\\ ])*", re.DOTALL)
_TAG = re.compile(rb"(?:\\.|[^\\,])*(?:,|\\?\Z)", re.DOTALL)
# Prometheus' text format: quoted strings, names, and the punctuation between them.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[^"{}=, \t]+|[ \t]+|.', re.DOTALL)
_TEXT_LABEL = re.compile(rb'db"?[ \t]*=')
# JSON: the key "db" in any spelling, and every key.
_JSON_LABEL = re.compile(rb'"(?:d|\\u0064)(?:b|\\u0062)"')
_KEY = re.compile(rb'"((?:[^"\\]|\\.)*)"(\s*:)?', re.DOTALL)
# Protobuf: the length 2 as a varint, which may be overlong, and the name.
_PROTO_LABEL = re.compile(rb"(?:\x02|\x82\x80*\x00)db")
_COLUMN = re.compile(r"([^:]*:label:)db\Z")


class Malformed(Exception):
    """A body that cannot be parsed, so that a label in it could be lost."""


def exported(names: Collection[str]) -> str:
    """Returns the new name of a client's own label: the first that is not among *names*."""
    name = _EXPORTED + LABEL
    while name in names:
        name = _EXPORTED + name
    return name


async def renaming(parts: AsyncIterable[bytes], rename: Rename) -> AsyncGenerator[bytes, None]:
    """Yields *parts* with *rename* applied; each call receives whole lines."""
    held: list[bytes] = []
    async for part in parts:
        end = part.rfind(b"\n") + 1
        if not end:
            held.append(part)
            continue
        held.append(part[:end])
        yield rename(b"".join(held))
        held = [part[end:]]
    if rest := b"".join(held):
        yield rename(rest)


def in_lines(block: bytes) -> bytes:
    """Returns whole lines of line protocol with the tag `db` renamed."""
    if b",db=" not in block:
        return block
    return b"\n".join([_line(line) if b",db=" in line else line for line in block.split(b"\n")])


def _line(line: bytes) -> bytes:
    found = _HEAD.match(line)
    head = found.group() if found is not None else b""
    parts = [part.group() for part in _TAG.finditer(head) if part.group()]
    names = [part.partition(b"=")[0] for part in parts]
    if _LABEL not in names[1:]:
        return line
    name = exported({one.decode("latin-1") for one in names}).encode()
    renamed = [
        name + part[len(_LABEL) :] if place and names[place] == _LABEL else part
        for place, part in enumerate(parts)
    ]
    return b"".join(renamed) + line[len(head) :]


def in_text(block: bytes) -> bytes:
    """Returns whole lines of Prometheus' text format with the label `db` renamed."""
    if _TEXT_LABEL.search(block) is None:
        return block
    return b"\n".join(
        [_sample(line) if _TEXT_LABEL.search(line) else line for line in block.split(b"\n")]
    )


def _sample(line: bytes) -> bytes:
    start = line.find(b"{")
    if start < 0 or line.lstrip().startswith(b"#"):
        return line
    tokens = _TOKEN.findall(line, start + 1)
    places = list(_names(tokens))
    names = {tokens[place].strip(b'"').decode("latin-1") for place in places}
    if LABEL not in names:
        return line
    new = exported(names).encode()
    for place in places:
        if tokens[place].strip(b'"') == _LABEL:
            tokens[place] = tokens[place].replace(_LABEL, new)
    return line[: start + 1] + b"".join(tokens)


def _names(tokens: list[bytes]) -> Iterator[int]:
    """Yields the indexes of label names: the tokens before `=`, up to the closing brace."""
    last = None
    value = False
    for place, token in enumerate(tokens):
        if not token.strip(b" \t"):
            continue
        if token == b"}" and not value:
            return
        if token == b"=" and last is not None:
            yield last
        value = token == b"="
        last = None if value or token in (b",", b"{") else place


def in_json(block: bytes) -> bytes:
    """Returns whole lines of VictoriaMetrics' JSON format with the label `db` renamed."""
    if _JSON_LABEL.search(block) is None:
        return block
    return b"\n".join(
        [_object(line) if _JSON_LABEL.search(line) else line for line in block.split(b"\n")]
    )


def _object(line: bytes) -> bytes:
    names = {_key(found) for found in _KEY.finditer(line) if found[2] is not None}
    name = json.dumps(exported(names)).encode()

    def renamed(found: re.Match[bytes]) -> bytes:
        if found[2] is None or _key(found) != LABEL:
            return found[0]
        return name + found[2]

    return _KEY.sub(renamed, line)


def _key(found: re.Match[bytes]) -> str:
    try:
        key: str = json.loads(b'"%b"' % found[1])
    except ValueError:
        return found[1].decode("latin-1")
    return key


def in_columns(format: str) -> str:
    """Returns *format*, the parameter of a CSV import, with a label `db` renamed."""
    columns = format.split(",")
    names = {column.split(":", 2)[2] for column in columns if column.count(":") >= 2}
    if LABEL not in names:
        return format
    name = exported(names)
    return ",".join(_COLUMN.sub(rf"\g<1>{name}", column) for column in columns)


def in_remote_write(block: bytes, most: int) -> bytes:
    """Returns the body of a remote write with the label `db` renamed.

    *block* is returned unchanged if no series has the label. Raises Malformed, and what `unpacked`
    raises.
    """
    content = unpacked(block, most)
    if _PROTO_LABEL.search(content) is None:
        return block
    renamed = _rewritten(content, _series)
    return block if renamed == content else packed(renamed)


def _rewritten(message: bytes, repeated: Rename) -> bytes:
    """Returns the protobuf *message* with *repeated* applied to each value of its field 1."""
    parts: list[bytes] = []
    for start, number, content in _fields(message):
        if number == 1 and content is not None:
            parts.append(_field(1, repeated(content)))
        else:
            parts.append(start)
    return b"".join(parts)


def _series(message: bytes) -> bytes:
    if _PROTO_LABEL.search(message) is None:
        return message
    names = {
        _label_name(content).decode("latin-1")
        for _, number, content in _fields(message)
        if number == 1 and content is not None
    }
    if LABEL not in names:
        return message
    name = exported(names).encode()
    return _rewritten(message, lambda label: _labelled(label, name))


def _label_name(message: bytes) -> bytes:
    names = [content for _, number, content in _fields(message) if number == 1 and content]
    return names[-1] if names else b""


def _labelled(message: bytes, name: bytes) -> bytes:
    return _rewritten(message, lambda old: name if old == _LABEL else old)


def _fields(message: bytes) -> Iterator[tuple[bytes, int, bytes | None]]:
    """Yields for each field of *message* its bytes, its number, and its content or None.

    Only length-delimited fields have content. Raises Malformed.
    """
    at = 0
    while at < len(message):
        start = at
        key, at = _varint(message, at)
        content = None
        match key & 7:
            case 0:
                _, at = _varint(message, at)
            case 1:
                at += 8
            case 2:
                length, at = _varint(message, at)
                content = message[at : at + length]
                at += length
            case 5:
                at += 4
            case _:
                raise Malformed
        if at > len(message):
            raise Malformed
        yield message[start:at], key >> 3, content


def _varint(message: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise Malformed


def _field(number: int, content: bytes) -> bytes:
    """Returns the encoded length-delimited field *number* with *content*."""
    head = bytearray([number << 3 | 2])
    length = len(content)
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head) + content
