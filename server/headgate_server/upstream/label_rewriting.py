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

from headgate_server.http.errors import BadRequest
from headgate_server.upstream.remote_write import decode_write_request, encode_write_request
from headgate_server.upstream.snappy import compress, decompress

_EXPORTED_PREFIX = "exported_"
_NO_NAME = r"(?!)"  # a pattern that matches nothing
# Keys of a line of JSON that are no labels: metric, its name, values and timestamps.
_OTHER_JSON_KEYS = 4
Rename = Callable[[bytes], bytes]

# Line protocol: measurement and tags, up to the first space without a backslash.
_LINE_HEAD_PATTERN = re.compile(rb"[ \t]*(?:\\.|[^\\ ])*", re.DOTALL)
_TAG_PATTERN = re.compile(rb"(?:\\.|[^\\,])*(?:,|\\?\Z)", re.DOTALL)
# Prometheus' text format: quoted strings, names, and the punctuation between them.
_TOKEN_PATTERN = re.compile(rb'"(?:[^"\\]|\\.)*"|[^"{}=, \t]+|[ \t]+|.', re.DOTALL)
# JSON: every key.
_JSON_KEY_PATTERN = re.compile(rb'"((?:[^"\\]|\\.)*)"(\s*:)?', re.DOTALL)


class LabelRenamer:
    """Renames a client's own labels with the names *names*; a name `x` becomes `exported_x`.

    While a series has the new name already, another prefix `exported_` is added. The methods take
    and return bytes of one format, in whole lines. They raise BadRequest for a series with more
    than *most* labels beside its name (0: no limit), of which VictoriaMetrics would cut off some,
    and so Headgate's own. Immutable.
    """

    def __init__(self, names: Iterable[str], most: int) -> None:
        self.names = frozenset(names)
        self._encoded = frozenset(name.encode() for name in self.names)
        self.most = most
        any_name = "|".join(sorted(map(re.escape, self.names))) or _NO_NAME
        self._tags = tuple(b",%b=" % name for name in self._encoded)
        self._in_text = re.compile(rb'(?:%b)"?[ \t]*=' % any_name.encode())
        spellings = b"|".join(b"".join(map(_json_spellings, name)) for name in self._encoded)
        self._in_json = re.compile(rb'"(?:%b)"' % (spellings or _NO_NAME.encode()))
        self._column = re.compile(rf"([^:]*:label:)({any_name})\Z")

    def _may_have_too_many(self, block: bytes, sign: bytes) -> bool:
        """Returns whether a line of *block* has *sign*, which each label has, too often."""
        if self.most == 0 or block.count(sign) <= self.most:
            return False
        return any(line.count(sign) > self.most for line in block.split(b"\n"))

    def _check_count(self, count: int) -> None:
        if 0 < self.most < count:
            raise BadRequest(f"a series has more than {self.most} labels: see max-labels")

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
        if self._may_have_too_many(block, b","):
            for line in block.split(b"\n"):
                self._check_count(len(_line_parts(line)) - 1)
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
        parts = _line_parts(line)
        head_size = sum(map(len, parts))
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
        return b"".join(renamed) + line[head_size:]

    def in_text(self, block: bytes) -> bytes:
        """Returns whole lines of Prometheus' text format with the labels renamed."""
        if self._may_have_too_many(block, b"="):
            for line in block.split(b"\n"):
                self._check_count(len(_sample_labels(line)[1]))
        if self._in_text.search(block) is None:
            return block
        return b"\n".join(
            [
                self._in_sample(line) if self._in_text.search(line) else line
                for line in block.split(b"\n")
            ]
        )

    def _in_sample(self, line: bytes) -> bytes:
        tokens, indexes = _sample_labels(line)
        names = {tokens[place].strip(b'"').decode("latin-1") for place in indexes}
        new = _encoded(self._new_names(names))
        for place in indexes:
            name = tokens[place].strip(b'"')
            if name in new:
                tokens[place] = tokens[place].replace(name, new[name])
        return line[: line.find(b"{") + 1] + b"".join(tokens) if new else line

    def in_json(self, block: bytes) -> bytes:
        """Returns whole lines of VictoriaMetrics' JSON format with the labels renamed."""
        if self._may_have_too_many(block, b":"):
            for line in block.split(b"\n"):
                keys = [found for found in _JSON_KEY_PATTERN.finditer(line) if found[2] is not None]
                self._check_count(len(keys) - _OTHER_JSON_KEYS)
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
        self._check_count(sum(":label:" in column for column in columns))
        names = {column.split(":", 2)[2] for column in columns if column.count(":") >= 2}
        new = self._new_names(names)
        return ",".join(
            self._column.sub(lambda found: found[1] + new[found[2]], column) for column in columns
        )

    def in_remote_write(self, block: bytes, max_bytes: int) -> bytes:
        """Returns the body of a remote write with the labels renamed.

        *block* is in Snappy's format. It is decoded and encoded anew, so that no part of it can be
        read in two ways. Raises InvalidBlock for invalid Snappy, MalformedBody for invalid
        protobuf, and BlockTooLarge for more than *max_bytes* decompressed bytes (0: no limit).
        """
        request = decode_write_request(decompress(block, max_bytes))
        for series in request.timeseries:
            self._check_count(len(series.labels) - 1)
            names = {label.name for label in series.labels}
            if self._encoded.isdisjoint(names):
                continue
            new = _encoded(self._new_names({name.decode("latin-1") for name in names}))
            for label in series.labels:
                label.name = new.get(label.name, label.name)
        return compress(encode_write_request(request))


def _encoded(names: Mapping[str, str]) -> dict[bytes, bytes]:
    return {old.encode(): new.encode() for old, new in names.items()}


def _json_spellings(character: int) -> bytes:
    """Returns a pattern of the ASCII *character* in a JSON string: itself, or an escape."""
    return rb"(?:%c|\\u(?i:%04x))" % (character, character)


def _line_parts(line: bytes) -> list[bytes]:
    """Returns the measurement of *line* and its tags, each with the comma after it."""
    found = _LINE_HEAD_PATTERN.match(line)
    head = found.group() if found is not None else b""
    return [part.group() for part in _TAG_PATTERN.finditer(head) if part.group()]


def _sample_labels(line: bytes) -> tuple[list[bytes], list[int]]:
    """Returns the tokens after `{` in *line*, and the indexes of those that are label names."""
    start = line.find(b"{")
    # VictoriaMetrics skips blanks and tabs before a comment, and no other white space.
    if start < 0 or line.lstrip(b" \t").startswith(b"#"):
        return [], []
    tokens = _TOKEN_PATTERN.findall(line, start + 1)
    return tokens, list(_label_name_indexes(tokens))


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
