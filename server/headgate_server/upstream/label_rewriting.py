"""Renames a client's own labels, such as `db` to `exported_db`, in data for VictoriaMetrics.

Headgate sets these labels itself: they tell the databases apart. Prometheus renames labels in the
same way with `honor_labels: false`. There is a pure method of bytes for each format, such as
`LabelRenamer.in_lines`. `rename_stream` applies such a method to a stream. Where parsers of a
format differ, everything that any parser could read as the label is renamed.
"""

import json
import re
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
)

from headgate_server.upstream.snappy import compress, decompress

_EXPORTED_PREFIX = "exported_"
Rename = Callable[[bytes], bytes]

# Line protocol: measurement and tags, up to the first space without a backslash.
_LINE_HEAD_PATTERN = re.compile(rb"[ \t]*(?:\\.|[^\\ ])*", re.DOTALL)
_TAG_PATTERN = re.compile(rb"(?:\\.|[^\\,])*(?:,|\\?\Z)", re.DOTALL)
# Prometheus' text format: quoted strings, names, and the punctuation between them.
_TOKEN_PATTERN = re.compile(rb'"(?:[^"\\]|\\.)*"|[^"{}=, \t]+|[ \t]+|.', re.DOTALL)
# JSON: every key.
_JSON_KEY_PATTERN = re.compile(rb'"((?:[^"\\]|\\.)*)"(\s*:)?', re.DOTALL)


class MalformedBody(Exception):
    """The body cannot be parsed, so Headgate cannot rename labels in it."""


class LabelRenamer:
    """Renames a client's own labels with the names *names*; a name `x` becomes `exported_x`.

    While a series has the new name already, another prefix `exported_` is added. The methods take
    and return bytes of one format, in whole lines. Immutable.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names = frozenset(names)
        self._encoded = frozenset(name.encode() for name in names)
        any_name = "|".join(sorted(map(re.escape, self.names))).encode()
        self._tags = tuple(b",%b=" % name for name in self._encoded)
        self._in_text = re.compile(rb'(?:%b)"?[ \t]*=' % any_name)
        spellings = b"|".join(b"".join(map(_json_spellings, name)) for name in self._encoded)
        self._in_json = re.compile(rb'"(?:%b)"' % spellings)
        self._in_protobuf = re.compile(b"|".join(map(_protobuf_pattern, self._encoded)))
        self._column = re.compile(rf"([^:]*:label:)({any_name.decode()})\Z")

    def _new_names(self, names: Collection[str]) -> dict[str, str]:
        """Returns the new name of each client's own label in *names*, the labels of one series."""
        renamed: dict[str, str] = {}
        for name in sorted(self.names & set(names)):
            new = _EXPORTED_PREFIX + name
            while new in names or new in renamed.values() or new in self.names:
                new = _EXPORTED_PREFIX + new
            renamed[name] = new
        return renamed

    def in_lines(self, block: bytes) -> bytes:
        """Returns whole lines of line protocol with the tags renamed."""
        if not self._may_have_tag(block):
            return block
        return b"\n".join(
            [
                self._in_line(line) if self._may_have_tag(line) else line
                for line in block.split(b"\n")
            ]
        )

    def _may_have_tag(self, block: bytes) -> bool:
        return any(tag in block for tag in self._tags)

    def _in_line(self, line: bytes) -> bytes:
        found = _LINE_HEAD_PATTERN.match(line)
        head = found.group() if found is not None else b""
        parts = [part.group() for part in _TAG_PATTERN.finditer(head) if part.group()]
        names = [part.partition(b"=")[0] for part in parts]
        if self._encoded.isdisjoint(names[1:]):
            return line
        new = _encoded(self._new_names({one.decode("latin-1") for one in names}))
        renamed = [
            new[names[place]] + part[len(names[place]) :]
            if place and names[place] in self._encoded
            else part
            for place, part in enumerate(parts)
        ]
        return b"".join(renamed) + line[len(head) :]

    def in_text(self, block: bytes) -> bytes:
        """Returns whole lines of Prometheus' text format with the labels renamed."""
        if self._in_text.search(block) is None:
            return block
        return b"\n".join(
            [
                self._in_sample(line) if self._in_text.search(line) else line
                for line in block.split(b"\n")
            ]
        )

    def _in_sample(self, line: bytes) -> bytes:
        start = line.find(b"{")
        if start < 0 or line.lstrip().startswith(b"#"):
            return line
        tokens = _TOKEN_PATTERN.findall(line, start + 1)
        indexes = list(_label_name_indexes(tokens))
        names = {tokens[place].strip(b'"').decode("latin-1") for place in indexes}
        new = _encoded(self._new_names(names))
        for place in indexes:
            name = tokens[place].strip(b'"')
            if name in new:
                tokens[place] = tokens[place].replace(name, new[name])
        return line[: start + 1] + b"".join(tokens) if new else line

    def in_json(self, block: bytes) -> bytes:
        """Returns whole lines of VictoriaMetrics' JSON format with the labels renamed."""
        if self._in_json.search(block) is None:
            return block
        return b"\n".join(
            [
                self._in_object(line) if self._in_json.search(line) else line
                for line in block.split(b"\n")
            ]
        )

    def _in_object(self, line: bytes) -> bytes:
        names = {
            _decode_key(found) for found in _JSON_KEY_PATTERN.finditer(line) if found[2] is not None
        }
        new = self._new_names(names)

        def renamed(found: re.Match[bytes]) -> bytes:
            name = new.get(_decode_key(found)) if found[2] is not None else None
            return found[0] if name is None else json.dumps(name).encode() + found[2]

        return _JSON_KEY_PATTERN.sub(renamed, line)

    def in_columns(self, format: str) -> str:
        """Returns *format*, the parameter that lists the columns of a CSV import.

        Columns for the labels are renamed in the result.
        """
        columns = format.split(",")
        names = {column.split(":", 2)[2] for column in columns if column.count(":") >= 2}
        new = self._new_names(names)
        return ",".join(
            self._column.sub(lambda found: found[1] + new[found[2]], column) for column in columns
        )

    def in_remote_write(self, block: bytes, max_bytes: int) -> bytes:
        """Returns the body of a remote write with the labels renamed.

        *block*, in Snappy's format, is returned unchanged if no series has one of the labels.
        Raises InvalidBlock for invalid Snappy, and MalformedBody for invalid protobuf. Raises
        BlockTooLarge for more than *max_bytes* decompressed bytes (0: no limit).
        """
        content = decompress(block, max_bytes)
        if self._in_protobuf.search(content) is None:
            return block
        renamed = _rewrite_field(content, self._in_series)
        return block if renamed == content else compress(renamed)

    def _in_series(self, message: bytes) -> bytes:
        if self._in_protobuf.search(message) is None:
            return message
        names = {
            _label_name(content).decode("latin-1")
            for _, number, content in _iter_fields(message)
            if number == 1 and content is not None
        }
        new = _encoded(self._new_names(names))
        if not new:
            return message

        def rename(label: bytes) -> bytes:
            return _rewrite_field(label, lambda name: new.get(name, name))

        return _rewrite_field(message, rename)


def _encoded(names: Mapping[str, str]) -> dict[bytes, bytes]:
    return {old.encode(): new.encode() for old, new in names.items()}


def _json_spellings(character: int) -> bytes:
    """Returns a pattern of the ASCII *character* in a JSON string: itself, or an escape."""
    return rb"(?:%c|\\u(?i:%04x))" % (character, character)


def _protobuf_pattern(name: bytes) -> bytes:
    """Returns a pattern of *name* after its length, a varint, which may be overlong."""
    length = re.escape(bytes([len(name)])), re.escape(bytes([len(name) | 0x80]))
    return rb"(?:%b|%b\x80*\x00)%b" % (*length, re.escape(name))


async def rename_stream(parts: AsyncIterable[bytes], rename: Rename) -> AsyncGenerator[bytes, None]:
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


def _decode_key(found: re.Match[bytes]) -> str:
    """Returns the JSON key that *found* matches, with its escapes decoded."""
    try:
        key: str = json.loads(b'"%b"' % found[1])
    except ValueError:
        return found[1].decode("latin-1")
    return key


def _rewrite_field(message: bytes, rewrite: Rename) -> bytes:
    """Returns the protobuf *message* with *rewrite* applied to each value of its field 1."""
    parts: list[bytes] = []
    for start, number, content in _iter_fields(message):
        if number == 1 and content is not None:
            parts.append(_encode_field(1, rewrite(content)))
        else:
            parts.append(start)
    return b"".join(parts)


def _label_name(message: bytes) -> bytes:
    """Returns the label name in *message*, a protobuf label. The last of several names counts."""
    names = [content for _, number, content in _iter_fields(message) if number == 1 and content]
    return names[-1] if names else b""


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
