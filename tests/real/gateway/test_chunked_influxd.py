"""Chunked answers of a real influxd."""

import json
from collections.abc import Iterator

import pytest

from support.gateway_fixtures import ANN, TWO, configured, upstream
from support.influxd import Influxd, needs_influxd
from support.local_server import serve_on
from support.scripted_upstream import (
    fetch,
)
from support.servers import ROOT, Server
from support.waiting import poll_until

FORMATS = ("json", "csv", "msgpack")


def points() -> bytes:
    return "\n".join(
        f'm{number % 3},h={number % 7} v={number}.5,n={number}i,s="a \\"b\\" {number}" {number + 1}'
        for number in range(6000)
    ).encode()


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Influxd]]:
    folder = tmp_path_factory.mktemp("real")
    with Influxd(folder, auth=False) as influxd:
        url = f"http://127.0.0.1:{influxd.port}"
        server = configured(
            serve_on(folder / "users.db"), folder, upstream("influxdb1", urls=[url])
        ).bootstrap(TWO)
        assert server.request("POST", "/write?db=a", points(), basic=ANN).status == 204
        yield server, influxd
        server.stop()


QUERIES = (
    "SELECT * FROM m0; SELECT * FROM m1; SELECT * FROM m2",
    "SHOW MEASUREMENTS; SELECT v FROM m0 GROUP BY *; SHOW FIELD KEYS",
    "SELECT mean(v) FROM /.*/ GROUP BY h; EXPLAIN SELECT v FROM m0; SELECT s FROM m1",
    "SELECT * FROM m1 LIMIT 1; " * 12 + "SELECT * FROM m2",
    "SHOW TAG VALUES WITH KEY = h; SHOW SERIES; SHOW RETENTION POLICIES",
)


@needs_influxd
@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("name", [*FORMATS, "pretty"])
def test_the_answer_is_influxds_to_the_byte(
    real: tuple[Server, Influxd], name: str, packed: bool, version: str
) -> None:
    server, influxd = real
    more = {"pretty": "true"} if name == "pretty" else {}
    format = "json" if name == "pretty" else name
    for text in QUERIES:
        fields = {"db": "a", "epoch": "ns"} | more
        ours = fetch(server, text, ANN, format, packed=packed, version=version, **fields)
        theirs = fetch(influxd, text, ROOT, format, packed=packed, **fields)
        assert (ours.status, ours.whole) == (200, True), text
        assert ours.body == theirs.body, text
        if format == "json":
            assert len(json.loads(ours.body)["results"]) == text.count(";") + 1


@needs_influxd
def test_an_error_of_influxd_is_in_its_place(real: tuple[Server, Influxd]) -> None:
    server, _ = real
    text = "SELECT * FROM m0; SELECT nonsense(v) FROM m0; SELECT * FROM m1"
    for name in FORMATS:
        got = fetch(server, text, ANN, name, db="a")
        assert got.whole and got.body.count(b"undefined function nonsense()") == 1
        assert got.body.count(b"not executed") == 1
    assert fetch(server, text, ANN, db="a").errors[0] == ""
    poll_until(lambda: "undefined function" in server.log(), "not in the log")
