"""Statements about databases of others, with a real influxd."""

from collections.abc import Callable
from pathlib import Path

from support.gateway_fixtures import BOB, TWO
from support.influxd import Influxd, needs_influxd
from support.servers import Server


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
