"""Answers of a real influxd: those to one statement, and those to several."""

from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate_server.formats import encoder_for
from support.influxd import Influxd, needs_influxd

pytestmark = needs_influxd

ODD = (
    '"statement_id":1',
    '{"results":[{"statement_id":0},{"statement_id":1}]}',
    '"',
    '""',
    "a\n\nb",
    '"\n\n"',
    "\n\n",
    "\\",
    ",\n",
)
FORMATS = {
    "json": ("application/json", False),
    "pretty": ("application/json", True),
    "csv": ("text/csv", False),
    "msgpack": ("application/x-msgpack", False),
}
ONE = (
    "SELECT * FROM odd",
    "SELECT s FROM odd GROUP BY *",
    "SELECT * FROM /.*/",
    "SELECT * FROM /.*/ GROUP BY *",
    "SELECT v FROM cpu, mem GROUP BY host",
    "SELECT v, n FROM mem, cpu",
    "SELECT * FROM error",
    "SELECT error FROM error GROUP BY statement_id",
    "SELECT * FROM statement_id",
    "SELECT statement_id FROM statement_id GROUP BY statement_id",
    "SELECT mean(v), count(s) FROM cpu WHERE time < 1h GROUP BY time(1s), host fill(none)",
    "SELECT v FROM nothing",
    "SELECT nonsense(v) FROM cpu",
    "SELECT v INTO copied FROM cpu",
    "SHOW MEASUREMENTS",
    "SHOW SERIES",
    "SHOW TAG KEYS",
    "SHOW TAG VALUES WITH KEY IN (host, statement_id)",
    "SHOW FIELD KEYS",
    "SHOW RETENTION POLICIES",
    "SHOW DATABASES",
    "SHOW SHARDS",
    "SHOW SHARD GROUPS",
    "SHOW QUERIES",
    "SHOW CONTINUOUS QUERIES",
    "SHOW SUBSCRIPTIONS",
    "EXPLAIN SELECT v FROM cpu",
    "SHOW STATS",
    "SHOW DIAGNOSTICS",
)
SEVERAL = (
    "SELECT * FROM cpu; SELECT * FROM mem",
    "SELECT * FROM odd; SELECT * FROM odd; SELECT * FROM odd",
    "SHOW MEASUREMENTS; SHOW DATABASES",
    "SHOW TAG KEYS; SELECT * FROM /.*/",
    "SELECT v INTO copied FROM cpu; SHOW MEASUREMENTS",
)
# Where the first fails influxd executes no other, and its answer has one result or none that tells.
# An error, or an answer without rows, is beside another nothing in CSV.
SEVERAL_BUT_CSV = (
    "SELECT v FROM nothing; SELECT v FROM nothing",
    "SELECT v FROM cpu; SELECT v FROM nothing",
    "SELECT v FROM cpu; SELECT nonsense(v) FROM cpu",
    "DROP MEASUREMENT nothing; DROP SERIES FROM nothing; SHOW DATABASES",
)


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def points() -> bytes:
    lines = [
        'cpu,host=x v=1,n=3i,s="a" 1000000000',
        "cpu,host=y v=2,b=true 2000000000",
        "mem v=1 3000000000",
        'error error="error" 1000000000',
        'error,statement_id="error":1 error="\\"error\\":\\"x\\"" 2000000000',
        "statement_id,statement_id=1 statement_id=1i 1000000000",
        'statement_id,statement_id="statement_id":1 statement_id=2i 2000000000',
    ]
    lines += [
        f"odd,statement_id={number} s={quoted(text)} {number}000000000"
        for number, text in enumerate(ODD)
    ]
    return "\n".join(lines).encode()


@pytest.fixture(scope="module")
def influxd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influxd]:
    with Influxd(tmp_path_factory.mktemp("several"), auth=False) as influxd:
        assert influxd.query("CREATE DATABASE a").status == 200
        assert influxd.request("POST", "/write?db=a", points()).status == 204
        yield influxd


def answered(influxd: Influxd, text: str, name: str, *, chunked: bool) -> bytes:
    accept, pretty = FORMATS[name]
    fields = {"q": text, "db": "a"} | ({"chunked": "true", "chunk_size": "1"} if chunked else {})
    url = "/query?" + urlencode(fields | ({"pretty": "true"} if pretty else {}))
    answer = influxd.request("POST", url, b"", {"Accept": accept})
    assert answer.status == 200, answer.body
    return answer.body


def found(name: str, parts: list[bytes], *, chunked: bool) -> bool:
    accept, pretty = FORMATS[name]
    several = encoder_for(accept, pretty=pretty).multiple_statements_detector(chunked=chunked)
    return any([several(part) for part in parts])


def cuts(body: bytes) -> Iterator[list[bytes]]:
    """*body* whole, in bytes, in small parts, and in two at each of its places (or some)."""
    yield [body]
    for size in (1, 2, 3, 17, 64):
        yield [body[begin : begin + size] for begin in range(0, len(body), size)]
    for place in range(1, len(body), max(1, len(body) // 200)):
        yield [body[:place], body[place:]]


@pytest.mark.parametrize("chunked", [False, True], ids=["whole", "chunked"])
@pytest.mark.parametrize("name", FORMATS)
def test_an_answer_to_one_statement_is_never_taken_for_several(
    influxd: Influxd, name: str, chunked: bool
) -> None:
    for text in ONE:
        body = answered(influxd, text, name, chunked=chunked)
        # These have tables of several kinds, which the gateway lets through.
        expected = name == "csv" and text in ("SHOW STATS", "SHOW DIAGNOSTICS")
        for parts in cuts(body):
            assert found(name, parts, chunked=chunked) is expected, (text, body)


@pytest.mark.parametrize("chunked", [False, True], ids=["whole", "chunked"])
@pytest.mark.parametrize("name", FORMATS)
def test_an_answer_to_several_statements_is_always_found(
    influxd: Influxd, name: str, chunked: bool
) -> None:
    for text in SEVERAL + (() if name == "csv" else SEVERAL_BUT_CSV):
        if name == "msgpack" and chunked and "nonsense" in text:
            continue  # so ends the answer to one statement that fails later, too
        body = answered(influxd, text, name, chunked=chunked)
        for parts in cuts(body):
            assert found(name, parts, chunked=chunked), (text, body)


@pytest.mark.parametrize("name", FORMATS)
@given(where=st.lists(st.integers(0, 1 << 16), max_size=30))
def test_it_is_found_however_the_answer_is_cut(
    influxd: Influxd, name: str, where: list[int]
) -> None:
    for chunked in (False, True):
        for text, expected in ((ONE[3], False), (SEVERAL[1], True)):
            body = answered(influxd, text, name, chunked=chunked)
            ends = sorted({place % len(body) for place in where} | {len(body)})
            begins = [0, *ends]
            parts = [body[b:e] for b, e in zip(begins, ends, strict=False) if b < e]
            assert found(name, parts, chunked=chunked) is expected, (text, body)
