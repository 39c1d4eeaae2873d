"""The splices of JSON, CSV and MessagePack.

A splice streams InfluxDB's response to one statement as a result of a larger response.
"""

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headgate_engine import Result
from headgate_grammar import ShowDatabases
from headgate_server.formats import (
    CsvEncoder,
    JsonEncoder,
    MessagePackEncoder,
    ResultEncoder,
    StatementResult,
)

Make = Callable[[], ResultEncoder]
Content = dict[str, Any]

FORMATS: dict[str, Make] = {
    "json": JsonEncoder,
    "pretty": lambda: JsonEncoder(pretty=True),
    "csv": CsvEncoder,
    "msgpack": MessagePackEncoder,
}
IDS = (0, 1, 7, 12, 99, 10_000, 54_321)
ODD = ('"statement_id":1', '"}]}]}\n', "\\", '\\"', "]}", '{"error":"x"}', "\n\n", "é\u2028<b>")

texts = st.text(max_size=12) | st.sampled_from(ODD)
values = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | texts
series = st.fixed_dictionaries(
    {"name": texts, "columns": st.lists(texts, min_size=1, max_size=3)},
    optional={
        "tags": st.dictionaries(texts | st.just("statement_id"), texts, min_size=1, max_size=2),
        "values": st.lists(st.lists(values, min_size=1, max_size=3), min_size=1, max_size=5),
    },
)
results: st.SearchStrategy[Content] = st.one_of(
    st.just({}),
    texts.map(lambda text: {"error": text or "no reason"}),
    st.fixed_dictionaries(
        {"series": st.lists(series, min_size=1, max_size=3)},
        optional={
            "messages": st.just([{"level": "warning", "text": 'deprecated "x"'}]),
            "partial": st.just(True),
            "error": texts.filter(bool),
        },
    ),
)


def in_json(*contents: Content, pretty: bool = False) -> bytes:
    """Returns a JSON response with one result for each content, with fields in influxd's order."""
    numbered = [{"statement_id": id} | content for id, content in enumerate(contents)]
    if pretty:
        return json.dumps({"results": numbered}, indent=4).encode() + b"\n"
    return json.dumps({"results": numbered}, separators=(",", ":")).encode() + b"\n"


def in_msgpack(*contents: Content) -> bytes:
    """Returns a MessagePack response. As in influxd, a failed result has only the field `error`."""
    numbered = [
        {"error": content["error"]}
        if "error" in content
        else {"statement_id": id, "series": []} | content
        for id, content in enumerate(contents)
    ]
    packed: bytes | None = msgpack.packb({"results": numbered})
    assert packed is not None
    return packed


def in_csv(*contents: Content) -> bytes:
    file = io.StringIO()
    for place, content in enumerate(contents):
        if place:
            file.write("\n")
        for one in content.get("series", ()):
            tags = ",".join(f"{key}={value}" for key, value in one.get("tags", {}).items())
            rows = [["name", "tags", *one["columns"]]]
            rows += [[one["name"], tags, *row] for row in one.get("values", ())]
            csv.writer(file, lineterminator="\n").writerows(rows)
    return file.getvalue().encode("utf-8", "replace")


WRITTEN: dict[str, Callable[..., bytes]] = {
    "json": in_json,
    "pretty": lambda *contents: in_json(*contents, pretty=True),
    "csv": in_csv,
    "msgpack": in_msgpack,
}


def cut(whole: bytes, places: list[int]) -> list[bytes]:
    """Returns *whole* cut at *places*, without empty parts."""
    ends = sorted({place % (len(whole) + 1) for place in places} | {len(whole)} - {0})
    begins = [0, *ends]
    return [whole[begin:end] for begin, end in zip(begins, ends, strict=False) if begin < end]


def spliced(format: ResultEncoder, id: int, parts: list[bytes]) -> tuple[bytes, str]:
    """Returns the joined output of a splice for *parts*. Raises ValueError."""
    splice = format.splice(id)
    pieces = [splice.feed(part) for part in parts]
    rest, error = splice.finish()
    return b"".join(pieces) + rest, error


cuts = st.lists(st.integers(0, 5000), max_size=12)


@pytest.mark.parametrize("name", FORMATS)
@given(content=results, id=st.sampled_from(IDS), places=cuts)
@example(content={}, id=54_321, places=[])
@example(content={"error": 'a "quoted" \\ text'}, id=10, places=list(range(90)))
@example(
    content={"series": [{"name": "error", "columns": ["error"], "values": [["error"]]}]},
    id=10_000,
    places=list(range(200)),
)
def test_a_spliced_answer_is_the_fragment_of_the_whole_one_however_it_is_cut(
    name: str, content: Content, id: int, places: list[int]
) -> None:
    make, whole = FORMATS[name], WRITTEN[name](content)
    if not whole.strip():
        return  # CSV without rows: the caller writes the result
    assert spliced(make(), id, cut(whole, places)) == make().renumber(whole, id)


@pytest.mark.parametrize("name", ["json", "pretty", "msgpack"])
@given(text=st.text(min_size=1), id=st.sampled_from(IDS), places=cuts)
def test_the_error_of_a_spliced_answer_is_found(
    name: str, text: str, id: int, places: list[int]
) -> None:
    encoded, error = spliced(FORMATS[name](), id, cut(WRITTEN[name]({"error": text}), places))
    assert error == text
    read = json.loads if name != "msgpack" else msgpack.unpackb
    assert read(encoded) == {"statement_id": id, "error": text}


@pytest.mark.parametrize("name", ["json", "pretty", "msgpack"])
def test_an_error_of_any_length_is_found(name: str) -> None:
    text = "undefined function " + '<"\\' * 60_000
    whole = WRITTEN[name]({"error": text})
    assert spliced(FORMATS[name](), 3, cut(whole, list(range(0, 5000, 1000))))[1] == text


@pytest.mark.slow
@pytest.mark.parametrize("pretty", [False, True])
def test_an_error_behind_many_rows_is_found(pretty: bool) -> None:
    rows = [[number, '"error":"no"}'] for number in range(20_000)]
    content = {"series": [{"name": "m", "columns": ["t", "v"], "values": rows}], "error": "late"}
    whole = in_json(content, pretty=pretty)
    parts = [whole[begin : begin + 1000] for begin in range(0, len(whole), 1000)]
    encoded, error = spliced(JsonEncoder(pretty=pretty), 1, parts)
    assert error == "late"
    assert json.loads(encoded) == {"statement_id": 1} | content


ROWS: Content = {
    "series": [{"name": "m", "columns": ["time", "v"], "values": [[1, "a"], [2, "b"]]}]
}
SEVERAL: tuple[tuple[Content, ...], ...] = (
    (ROWS, ROWS),
    ({}, {}),
    (ROWS, {"error": "x"}),
    ({}, {}, ROWS),
)
GARBAGE = (b"<html>502</html>\n", b"\xc1\xff\x00", b"null\n", b"[]\n", b'{"error":"x"}\n')


@pytest.mark.parametrize("name", FORMATS)
@given(places=cuts)
def test_an_answer_to_several_statements_is_no_result(name: str, places: list[int]) -> None:
    if name == "csv":
        return  # in CSV, the caller finds the ends of results
    for contents in SEVERAL:
        with pytest.raises(ValueError, match=r"."):
            spliced(FORMATS[name](), 2, cut(WRITTEN[name](*contents), places))
    twice = WRITTEN[name](ROWS) * 2
    with pytest.raises(ValueError, match=r"."):
        spliced(FORMATS[name](), 2, cut(twice, places))


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
@given(places=cuts)
def test_a_part_of_an_answer_is_no_result(name: str, places: list[int]) -> None:
    whole = WRITTEN[name](ROWS | {"error": "late"} if name == "json" else ROWS)
    for end in range(len(whole)):
        part = whole[:end]
        if part.endswith(b"\n") and name == "csv":
            continue  # complete rows: CSV does not show that rows are missing
        if part + b"\n" == whole:
            continue  # only the last line end is missing
        with pytest.raises(ValueError, match=r"."):
            spliced(FORMATS[name](), 2, cut(part, places))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("garbage", [b"", *GARBAGE])
def test_what_is_no_answer_is_no_result(name: str, garbage: bytes) -> None:
    if name == "csv" and garbage.endswith(b"\n"):
        return  # any text is CSV
    for parts in ([garbage] if garbage else [], [bytes([byte]) for byte in garbage]):
        with pytest.raises(ValueError, match=r"."):
            spliced(FORMATS[name](), 0, parts)


@pytest.mark.parametrize("name", FORMATS)
def test_what_has_no_end_is_not_held(name: str) -> None:
    splice = FORMATS[name]().splice(1)
    whole = WRITTEN[name]({"series": [{"name": "m", "columns": ["v"], "values": [["x" * 5]] * 9}]})
    # A value without an end: the splice passes on all but a bounded rest.
    head = whole[: whole.index(b"x" * 5)]
    taken = given_back = 0
    for part in [head] + [b"x" * 1000] * 600:
        taken += len(part)
        try:
            given_back += len(splice.feed(part))
        except ValueError:
            assert name == "msgpack"  # a string has a length
            return
    assert taken - given_back < 1 << 17


@pytest.mark.parametrize("name", ["json", "pretty", "msgpack"])
def test_a_head_that_never_comes_is_refused(name: str) -> None:
    splice = FORMATS[name]().splice(1)
    with pytest.raises(ValueError, match=r"."):
        for _ in range(1 << 21):
            splice.feed(b" " * 7)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["json", "msgpack"])
@pytest.mark.parametrize("size", [1, 64])
def test_the_work_grows_with_the_length_of_an_answer_alone(name: str, size: int) -> None:
    """The number of parts has no influence: a splice copies no earlier parts."""
    content = {"error": "x" * 400_000}
    whole = WRITTEN[name](content)
    parts = [whole[begin : begin + size] for begin in range(0, len(whole), size)]
    # Copying the held bytes for each part would copy 80 GB.
    assert spliced(FORMATS[name](), 1, parts)[1] == content["error"]


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
@given(contents=st.lists(results, min_size=1, max_size=4), places=cuts)
def test_pieces_make_the_document_that_results_makes(
    name: str, contents: list[Content], places: list[int]
) -> None:
    make, write = FORMATS[name], WRITTEN[name]
    written = [write(content) for content in contents]
    if not all(one.strip() for one in written):
        return
    answers = [
        StatementResult(id, Result(ShowDatabases()), encoded=make().renumber(whole, id)[0])
        for id, whole in enumerate(written)
    ]
    format = make()
    made = format.document_start(len(written))
    for id, whole in enumerate(written):
        made += format.separator() if id else b""
        made += spliced(format, id, cut(whole, places))[0]
    assert made + format.document_end() == make().encode_results(answers)
