"""Statements about databases of others, with a real influxd."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.gateway_fixtures import BOB, TWO, configured, upstream
from support.influxd import Influxd, needs_influxd
from support.raw_upstream import raw_upstream
from support.scripted_upstream import Script
from support.servers import Server

SECRET = "acct-4711"
QUERIES = {
    "series": [
        {
            "columns": ["qid", "query", "database", "duration", "status"],
            "values": [
                [1, f"SELECT v FROM b..m WHERE s != '{SECRET}'", "a", "1m", "running"],
                [2, "SELECT v FROM a..m", "b", "1m", "running"],
                [3, "SELECT v FROM m", "a", "1m", "running"],
                [4, "SHOW QUERIES", "a", "1us", "running"],
            ],
        }
    ]
}


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def server(serve: Callable[..., Server], tmp_path: Path, script: Script) -> Iterator[Server]:
    with raw_upstream(script) as store:
        yield configured(serve, tmp_path, upstream("influxdb1", urls=[store.url])).bootstrap(TWO)


@needs_influxd
def test_own_queries_work_with_a_database_of_others(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    with Influxd(tmp_path, auth=False) as influxd:
        server = serve("--upstream", f"http://127.0.0.1:{influxd.port}").bootstrap(TWO)
        assert server.request("POST", "/write?db=b", b"m v=1 1000", basic=BOB).status == 204
        for text in ("SELECT v FROM b..m", "SELECT v FROM b.autogen.m", "SELECT v FROM b../m/"):
            rows = server.query(text, BOB, db="a", rp="nope", epoch="ns").rows()
            assert rows == [[1000, 1]]
        assert server.query("SHOW MEASUREMENTS ON b", BOB, db="a").rows() == [["m"]]
        text = "SELECT v INTO b..copy FROM b..m"
        assert server.query(text, BOB, db="a").rows()[0][1] == 1
        assert server.query("SHOW QUERIES", BOB, db="a").status == 403
        assert server.query("SELECT v FROM m", BOB, db="a").status == 403
        # A real server's list, with its own columns.
        (row,) = server.query("SHOW QUERIES", BOB, db="b").rows()
        assert row[1:3] == ["SHOW QUERIES", "b"]
