"""Renames a client's own labels in each write format: tables of examples, and properties."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate_server.http.errors import BadRequest
from headgate_server.upstream.label_rewriting import (
    LabelRenamer,
    Rename,
    rename_stream,
)
from headgate_server.upstream.remote_write import MalformedBody
from headgate_server.upstream.snappy import BlockTooLarge, InvalidBlock, compress, decompress

OWN = LabelRenamer(["db"], 0)
SEVERAL = LabelRenamer(["db", "team", "job"], 0)
COUNTING = LabelRenamer(["db"], 27)


def exported_name(names: Collection[str]) -> str:
    name = "exported_db"
    while name in names:
        name = f"exported_{name}"
    return name


LINES = [
    (b"m,db=x v=1", b"m,exported_db=x v=1"),
    (b"m,a=1,db=x,z=2 v=1 5", b"m,a=1,exported_db=x,z=2 v=1 5"),
    (b"m,db=x,exported_db=y v=1", b"m,exported_exported_db=x,exported_db=y v=1"),
    (
        b"m,db=x,exported_db=y,exported_exported_db=z v=1",
        b"m,exported_exported_exported_db=x,exported_db=y,exported_exported_db=z v=1",
    ),
    (b"m,db=x,db=y v=1", b"m,exported_db=x,exported_db=y v=1"),
    (b"m,a=1\\\\,db=x v=1", b"m,a=1\\\\,exported_db=x v=1"),
    (b"m\\ n,db=x v=1", b"m\\ n,exported_db=x v=1"),
    (b"  m,db=x v=1\r", b"  m,exported_db=x v=1\r"),
    (b"m,db= v=1", b"m,exported_db= v=1"),
    (b"m,db=a\\ b\\,c v=1", b"m,exported_db=a\\ b\\,c v=1"),
    # No label of that name.
    (b"db,a=1 v=1", None),
    (b"m,a=1 v=1,db=2", None),
    (b"m,a=1\\,db=x v=1", None),
    (b"m\\,db=1 v=1", None),
    (b"m,a\\,db=x v=1", None),
    (b"m,DB=x v=1", None),
    (b"m,dbx=x,xdb=y v=1", None),
    (b"m,a=1\\ ,db=x", b"m,a=1\\ ,exported_db=x"),
    (b'm,a=1 s="x,db=y z"', None),
    (b"# m,db", None),
    (b"m,db=x\\", b"m,exported_db=x\\"),
]
TEXTS = [
    (b'm{db="x"} 1', b'm{exported_db="x"} 1'),
    (b'm { db = "x" , } 1 5', b'm { exported_db = "x" , } 1 5'),
    (b'm{db="x",exported_db="y"} 1', b'm{exported_exported_db="x",exported_db="y"} 1'),
    (b'm{a="}",db="x"} 1', b'm{a="}",exported_db="x"} 1'),
    (b'm{a="\\"",db="x"} 1', b'm{a="\\"",exported_db="x"} 1'),
    (b'{"m","db"="x"} 1', b'{"m","exported_db"="x"} 1'),
    (b'{__name__="m",db="x"} 1', b'{__name__="m",exported_db="x"} 1'),
    (b'm{a="1"\tdb="x"} 1', b'm{a="1"\texported_db="x"} 1'),
    (b'm{a="db=1",b="{db=\\"x\\"}"} 1', None),
    (b'm{xdb="x"} 1 # {db="exemplar"} 1', None),
    (b'# m{db="x"} 1', None),
    (b' \t# m{db="x"} 1', None),
    (b'\r# m{db="x"} 1', b'\r# m{exported_db="x"} 1'),
    (b'\x0b#m{db="x"} 1', b'\x0b#m{exported_db="x"} 1'),
    (b"db 1", None),
    (b'db{a="db"} 1', None),
]
OBJECTS = [
    (b'{"metric":{"__name__":"m","db":"x"}}', b'{"metric":{"__name__":"m","exported_db":"x"}}'),
    (b'{"metric":{"\\u0064b" : "x"}}', b'{"metric":{"exported_db" : "x"}}'),
    (b'{"metric":{"d\\u0062":"x"}}', b'{"metric":{"exported_db":"x"}}'),
    (
        b'{"metric":{"db":"x","exported_db":"y"},"values":[1]}',
        b'{"metric":{"exported_exported_db":"x","exported_db":"y"},"values":[1]}',
    ),
    (b'{"metric":{"a":"db","b":"\\"db\\":"},"values":["db"]}', None),
    (b'{"metric":{"\\\\u0064b":"x"}}', None),
]
COLUMNS = [
    ("1:label:db,2:metric:m", "1:label:exported_db,2:metric:m"),
    (
        "1:label:db,2:label:exported_db,3:metric:m",
        "1:label:exported_exported_db,2:label:exported_db,3:metric:m",
    ),
    ("1:metric:db,2:label:dbx,3:time:db:x", None),
    ("", None),
]


@pytest.mark.parametrize(("given", "expected"), LINES)
def test_in_line_protocol(given: bytes, expected: bytes | None) -> None:
    assert OWN.in_lines(given) == (given if expected is None else expected)
    both = OWN.in_lines(b"a,b=c v=1\n" + given + b"\n")
    assert both == b"a,b=c v=1\n" + (given if expected is None else expected) + b"\n"


@pytest.mark.parametrize(("given", "expected"), TEXTS)
def test_in_prometheus_text(given: bytes, expected: bytes | None) -> None:
    assert OWN.in_text(given) == (given if expected is None else expected)


@pytest.mark.parametrize(("given", "expected"), OBJECTS)
def test_in_json(given: bytes, expected: bytes | None) -> None:
    assert OWN.in_json(given) == (given if expected is None else expected)


@pytest.mark.parametrize(("given", "expected"), COLUMNS)
def test_in_the_columns_of_csv(given: str, expected: str | None) -> None:
    assert OWN.in_columns(given) == (given if expected is None else expected)


def test_several_labels_are_renamed_in_each_format() -> None:
    line = b"m,job=a,x=1,team=b,db=c,exported_team=d team=1"
    assert SEVERAL.in_lines(line) == (
        b"m,exported_job=a,x=1,exported_exported_team=b,exported_db=c,exported_team=d team=1"
    )
    text = b'm{job="a",team="db",teams="c"} 1'
    assert SEVERAL.in_text(text) == b'm{exported_job="a",exported_team="db",teams="c"} 1'
    made = b'{"metric":{"\\u006aob":"a","t\\u0065am":"b","\\u006Aobs":"c","db":"team"}}'
    assert json.loads(SEVERAL.in_json(made))["metric"] == {
        **{"exported_job": "a", "exported_team": "b", "jobs": "c", "exported_db": "team"},
    }
    assert json.loads(SEVERAL.in_json(b'{"metric":{"\\u006Aob":"a"}}'))["metric"] == {
        "exported_job": "a"
    }
    columns = "1:label:team,2:metric:job,3:label:job"
    assert SEVERAL.in_columns(columns) == "1:label:exported_team,2:metric:job,3:label:exported_job"
    block = compress(series([("__name__", "m"), ("team", "x"), ("job", "y"), ("z", "db")]))
    (found,) = _read(decompress(SEVERAL.in_remote_write(block, 0), 0))
    assert found == {"__name__": "m", "exported_team": "x", "exported_job": "y", "z": "db"}


def test_an_exported_name_that_is_an_own_label_is_not_taken() -> None:
    both = LabelRenamer(["db", "exported_db"], 27)
    expected = b"m,exported_exported_db=x,exported_exported_exported_db=y v=1"
    assert both.in_lines(b"m,db=x,exported_db=y v=1") == expected


async def _through(parts: Iterable[bytes], rename: Rename) -> bytes:
    async def source() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    return b"".join([part async for part in rename_stream(source(), rename)])


@given(st.lists(st.sampled_from([one for one, _ in LINES]), max_size=6), st.data())
def test_where_a_body_is_cut_makes_no_difference(lines: list[bytes], data: st.DataObject) -> None:
    body = b"\n".join(lines)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(body)), max_size=6)))
    edges = zip([0, *cuts], [*cuts, len(body)], strict=True)
    parts = [body[start:end] for start, end in edges]
    assert asyncio.run(_through(parts, OWN.in_lines)) == OWN.in_lines(body)


WORDS = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=8)
LABELS = st.dictionaries(st.one_of(st.sampled_from(["db", "exported_db"]), WORDS), WORDS)


@pytest.mark.slow
@given(LABELS)
def test_no_label_of_json_is_lost(labels: dict[str, str]) -> None:
    line = json.dumps({"metric": labels, "values": [1]}).encode()
    found = json.loads(OWN.in_json(line))["metric"]
    if "db" in labels:
        own = labels.pop("db")
        assert found.pop(exported_name(labels.keys() | {"metric", "values"})) == own
    assert found == labels


def _field(number: int, content: bytes) -> bytes:
    assert len(content) < 1 << 14
    length = bytes([len(content) & 0x7F | 0x80, len(content) >> 7])
    return bytes([number << 3 | 2]) + length + content  # Protobuf allows a length of two bytes


def _short(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2, len(content)]) + content


def series(labels: Iterable[tuple[str, str]], long: bool = False) -> bytes:
    field = _field if long else _short
    pairs = [_field(1, field(1, n.encode()) + field(2, v.encode())) for n, v in labels]
    return _field(1, b"".join(pairs) + _short(2, b"\x09" + bytes(8) + b"\x10\x05"))


@given(st.lists(LABELS, max_size=4), st.booleans())
def test_no_label_of_a_remote_write_is_lost(all: list[dict[str, str]], long: bool) -> None:
    metadata = _short(3, b"\x08\x01\x12\x02db")
    given = b"".join(series(labels.items(), long) for labels in all) + metadata
    wanted = []
    for labels in all:
        name = exported_name(labels.keys() - {"db"})
        wanted.append({name if key == "db" else key: value for key, value in labels.items()})
    found = decompress(OWN.in_remote_write(compress(given), 0), 0)
    assert _read(found) == wanted
    assert found.endswith(metadata)


def test_a_remote_write_without_the_label_goes_on_as_it_came() -> None:
    block = compress(series([("__name__", "m"), ("adb", "x")]))
    (found,) = _read(decompress(OWN.in_remote_write(block, 0), 0))
    assert found == {"__name__": "m", "adb": "x"}


def _read(message: bytes) -> list[dict[str, str]]:
    """Returns the labels of each series, by a Protobuf reader independent of the tested code."""
    found = []
    for number, content in _messages(message):
        if number != 1:
            continue
        pairs = [dict(_messages(label)) for kind, label in _messages(content) if kind == 1]
        found.append({pair.get(1, b"").decode(): pair.get(2, b"").decode() for pair in pairs})
    return found


def _messages(message: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at < len(message):
        number = message[at] >> 3
        length, shift, at = 0, 0, at + 1
        while True:
            length |= (message[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if message[at - 1] < 0x80:
                break
        found.append((number, message[at : at + length]))
        at += length
    return found


@pytest.mark.parametrize("bad", [b"\x0a", b"\x0a\x05\x02db", b"\x0b\x02db", b"\x0a\xff\x02db"])
def test_protobuf_that_cannot_be_read_is_refused(bad: bytes) -> None:
    with pytest.raises(MalformedBody):
        OWN.in_remote_write(compress(bad + b"\x0a\x02db"), 0)


@given(st.binary(max_size=200_000))
def test_what_was_packed_is_unpacked(content: bytes) -> None:
    assert decompress(compress(content), 0) == content


# Blocks as other programs write them, with each kind of element.
BLOCKS = [
    (b"\x00", b""),
    (b"\x05\x10hello", b"hello"),
    (b"\x0b\x08abc\x11\x03", b"abcabcabcab"),
    (b"\x06\x08abc\x0a\x03\x00", b"abcabc"),
    (b"\x06\x08abc\x0b\x03\x00\x00\x00", b"abcabc"),
    (b"\x03\xf0\x02abc", b"abc"),
    (b"\x09\x00a\x1e\x01\x00", b"a" * 9),
]


@pytest.mark.parametrize(("block", "content"), BLOCKS)
def test_each_kind_of_element_is_read(block: bytes, content: bytes) -> None:
    assert decompress(block, 0) == content


@pytest.mark.parametrize(
    "block",
    [
        *(b"", b"\x80", b"\xff\xff\xff\xff\xff\x01", b"\x05\x10hell", b"\x04\x10hello"),
        *(b"\x06\x08abc\x0a\x04\x00", b"\x06\x08abc\x0a\x00\x00", b"\x06\x08abc\x0a", b"\x05\xf0"),
        b"\x06\x08abc",
    ],
)
def test_a_broken_block_is_refused(block: bytes) -> None:
    with pytest.raises(InvalidBlock):
        decompress(block, 0)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(block: bytes) -> None:
    try:
        assert len(decompress(block, 1000)) <= 1000
    except (InvalidBlock, BlockTooLarge):
        return


def test_a_block_that_declares_more_than_it_may_hold_is_not_unpacked() -> None:
    with pytest.raises(BlockTooLarge):
        decompress(compress(bytes(1001)), 1000)


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


@pytest.mark.parametrize("place", ["series", "label", "name", "length"])
def test_protobuf_that_another_reader_cuts_is_refused(place: str) -> None:
    """A field number or a length above its limit: some readers take the low bits alone."""
    large = _varint((1 << 32 | 1) << 3 | 2)
    keys = {"series": b"\x0a", "label": b"\x0a", "name": b"\x0a", place: large}
    length = b"\x82" + b"\x80" * 8 + b"\x02" if place == "length" else b"\x02"
    name = keys["name"] + length + b"db"
    label = name + _short(2, b"x")
    content = keys["label"] + bytes([len(label)]) + label
    body = compress(keys["series"] + bytes([len(content)]) + content)
    try:
        found = decompress(OWN.in_remote_write(body, 0), 0)
    except MalformedBody:
        return
    assert b"\x02db" not in found and large not in found


def writes(labels: list[str]) -> Iterator[Callable[[], object]]:
    """Yields a write of a series with *labels* in each format."""
    tags = ",".join(f"{name}=1" for name in labels)
    pairs = ",".join(f'{name}="1"' for name in labels)
    values = ",".join(f'"{name}":"1"' for name in labels)
    columns = ",".join(f"{place}:label:{name}" for place, name in enumerate(labels, 1))
    line = f'{{"metric":{{"__name__":"m",{values}}},"values":[1],"timestamps":[1]}}'
    yield partial(COUNTING.in_lines, f"a v=1\nm,{tags} v=1\nb v=1\n".encode())
    yield partial(COUNTING.in_text, f"a 1\nm{{{pairs}}} 1\n".encode())
    yield partial(COUNTING.in_json, line.encode())
    yield partial(COUNTING.in_columns, f"{columns},99:metric:m")
    found = series([("__name__", "m"), *((name, "1") for name in labels)])
    yield partial(COUNTING.in_remote_write, compress(found), 0)


@pytest.mark.parametrize("repeated", [False, True])
def test_a_series_with_more_labels_than_the_store_keeps_is_refused(repeated: bool) -> None:
    names = ["x" if repeated else f"l{number}" for number in range(28)]
    for write in writes(names[:27]):
        write()
    for write in writes(names):
        with pytest.raises(BadRequest, match="a series has more than 27 labels"):
            write()
