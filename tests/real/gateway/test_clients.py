"""What people run against InfluxDB, against a real one behind Headgate: their programs where they
can be had, else the requests that they make.
"""

import gzip
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import influxdb
import pytest
from influxdb.exceptions import InfluxDBClientError

from support.gateway_fixtures import ANN, BOB, TWO
from support.influx_shell import influx, needs_influx
from support.influxd import Influxd, needs_influxd
from support.raw_connections import connected, read_until
from support.servers import ROOT, Server

pytestmark = needs_influxd


@pytest.fixture
def server(serve: Callable[..., Server], tmp_path: Path) -> Iterator[Server]:
    with Influxd(tmp_path, auth=False) as influxd:
        yield serve("--upstream", f"http://127.0.0.1:{influxd.port}").bootstrap(TWO)


def test_pypis_library_writes_and_reads(server: Server) -> None:
    client: Any = influxdb.InfluxDBClient("127.0.0.1", server.port, *ANN, database="a")
    assert client.ping().startswith("1.8")
    points = [
        {"measurement": "cpu", "tags": {"host": host}, "time": n, "fields": {"v": n / 3, "i": n}}
        for n, host in enumerate("xyz")
    ]
    assert client.write_points(points, time_precision="s")
    found = client.query("SELECT v, i FROM cpu GROUP BY host", epoch="s")
    rows: list[Any] = list(found.get_points())
    assert [row["i"] for row in rows] == [0, 1, 2]
    assert rows[2] == {"time": 2, "v": 2 / 3, "i": 2}
    bound = client.query("SELECT i FROM cpu WHERE host = $h", bind_params={"h": "y"})
    assert [point["i"] for point in bound.get_points()] == [1]
    assert client.get_list_measurements() == [{"name": "cpu"}]
    assert client.get_list_database() == [{"name": "a"}]
    client.delete_series(measurement="cpu", tags={"host": "x"})
    assert len(list(client.query("SELECT i FROM cpu").get_points())) == 2
    actions: list[Callable[[], Any]] = [
        lambda: client.query("SELECT * FROM b..cpu"),
        lambda: client.write_points(points, database="b"),
        lambda: client.create_database("c"),
    ]
    for action in actions:
        with pytest.raises(InfluxDBClientError) as refused:
            action()
        assert refused.value.code == 403
    client.close()


def test_pypis_library_manages(server: Server) -> None:
    client: Any = influxdb.InfluxDBClient("127.0.0.1", server.port, *ROOT)
    client.create_database("c")
    client.create_retention_policy("week", "7d", "1", database="c", default=True)
    assert [one["name"] for one in client.get_list_retention_policies("c")] == ["autogen", "week"]
    client.create_user("carl", "Carl-pw-1")
    client.grant_privilege("write", "c", "carl")
    carl: Any = influxdb.InfluxDBClient("127.0.0.1", server.port, "carl", "Carl-pw-1", database="c")
    assert carl.write("m v=1", {"db": "c"}, protocol="line")
    with pytest.raises(InfluxDBClientError):
        carl.query("SELECT v FROM m")
    assert len(list(client.query("SELECT v FROM m", database="c").get_points())) == 1
    client.drop_database("c")
    client.close()
    carl.close()


@needs_influx
def test_influxs_own_shell(server: Server) -> None:
    def run(text: str, login: tuple[str, str] = ANN) -> str:
        arguments = ("-database", "a", "-precision", "ns", "-execute", text)
        name, password = login
        return influx(server, *arguments, INFLUX_USERNAME=name, INFLUX_PASSWORD=password)[0]

    server.request("POST", "/write?db=a", b"cpu,host=x v=1.5 1000", basic=ANN)
    assert "1000 x    1.5" in run("SELECT * FROM cpu")
    assert run("INSERT cpu,host=y v=2 2000") == ""
    assert "2000" in run("SELECT v FROM cpu; SHOW MEASUREMENTS")
    assert "not authorized" in run("SELECT * FROM cpu", BOB)


def test_telegraf(server: Server) -> None:
    form = {
        "Content-Type": "application/x-www-form-urlencoded",
        "User-Agent": "Telegraf/1.30.0 Go/1.22.1",
    }
    created = server.request("POST", "/query", b"q=CREATE+DATABASE+%22a%22", form, ANN)
    # A warning to it, and no reason not to write.
    assert created.status == 403 and created.headers["Content-Type"] == "application/json"
    assert not server.request("POST", "/query", b"q=CREATE+DATABASE+%22a%22", form, ROOT).error
    lines = {"Content-Type": "text/plain; charset=utf-8", "User-Agent": "Telegraf/1.30.0"}
    body = b"cpu,cpu=cpu0,host=h usage_idle=98.5 1700000000000000000\n" * 1000
    url = "/write?consistency=any&db=a&precision=ns&rp=autogen"
    assert server.request("POST", url, body, lines, ANN).status == 204
    with connected(server) as line:
        head = (
            f"POST {url} HTTP/1.1\r\nHost: x\r\n"
            "Content-Type: text/plain\r\nContent-Encoding: gzip\r\n"
            f"Authorization: Basic {b64encode(':'.join(ANN).encode()).decode()}\r\n"
            "Transfer-Encoding: chunked\r\n\r\n"
        )
        packed = gzip.compress(body)
        line.sendall(head.encode() + b"%x\r\n%b\r\n0\r\n\r\n" % (len(packed), packed))
        read_until(line, b"HTTP/1.1 204 ")
    gone = server.request("POST", "/write?db=none", body, lines, ROOT)
    assert gone.status == 404 and "database not found" in gone.error


def test_grafana(server: Server) -> None:
    server.request("POST", "/write?db=a&precision=ms", b"cpu,host=x v=1 1000", basic=ANN)
    text = (
        'SELECT mean("v") FROM "cpu" WHERE time >= 0ms and time <= 5000ms'
        " GROUP BY time(1s) fill(null)"
    )
    server.query("CREATE USER grafana WITH PASSWORD 'Grafana-1'; GRANT READ ON a TO grafana")
    login = ("grafana", "Grafana-1")
    url = "/query?" + urlencode({"db": "a", "epoch": "ms", "q": text})
    got = server.request("GET", url, None, {"Accept-Encoding": "gzip"}, login)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    body = urlencode({"q": text}).encode()
    posted = server.request("POST", "/query?db=a&epoch=ms", body, form, login)
    assert got.status == posted.status == 200
    assert posted.rows()[1] == [1000, 1]
    for test in ("SHOW MEASUREMENTS", "SHOW TAG KEYS", "SHOW RETENTION POLICIES", "SHOW DATABASES"):
        answer = server.request("GET", "/query?" + urlencode({"db": "a", "q": test}), basic=login)
        assert answer.status == 200 and not answer.error


def test_chronograf_home_assistant_and_kapacitor(server: Server) -> None:
    json = {"Content-Type": "application/json"}
    url = "/query?" + urlencode({"q": "SHOW DATABASES", "db": "", "rp": "", "epoch": "ms"})
    assert server.request("POST", url, b"", json, ROOT).rows() == [["a"], ["b"]]
    assert server.request("POST", "/write?db=a", b"\n", basic=ANN).status == 204
    assert server.query("SHOW DATABASES;", ANN).rows() == [["a"]]
    assert server.request("GET", "/ping?wait_for_leader=10s").status == 204
    for statement in ("SHOW SUBSCRIPTIONS", "SHOW RETENTION POLICIES ON a"):
        assert not server.request(
            "POST", "/query?" + urlencode({"q": statement}), b"", basic=ROOT
        ).error
    subscription = "CREATE SUBSCRIPTION s ON a.autogen DESTINATIONS ANY 'http://127.0.0.1:1'"
    assert not server.query(subscription).error
    assert not server.query("DROP SUBSCRIPTION s ON a.autogen").error
