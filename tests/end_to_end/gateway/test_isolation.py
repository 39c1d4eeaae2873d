"""Random requests of a user with one database never read or change another database.

`make long CHECK=isolation N=20000` sends 20,000 requests.
"""

import gzip
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings

from support.gateway_fixtures import ANN, BOB, TWO, configured, upstream
from support.influxd import Influxd, needs_influxd
from support.local_server import serve_on
from support.servers import Server
from support.two_databases import MARK, WRITTEN_BY_BOB, Sent, requests
from support.victoria_metrics import Victoria, needs_victoria
from support.waiting import poll_until

# Requests to each kind of store.
EXAMPLES = int(os.environ.get("N", "1200")) // 2
_settings = settings(
    max_examples=EXAMPLES,
    database=None,
    suppress_health_check=[
        *(HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much),
        HealthCheck.function_scoped_fixture,
    ],
    print_blob=False,
)


def check(server: Server, sent: Sent) -> None:
    """Sends a request as Bob. Checks that the answer contains no data of the database a."""
    answer = server.request(sent.method, sent.path, sent.body or None, list(sent.headers), BOB)
    body = answer.body
    if answer.headers.get("Content-Encoding") == "gzip" and body:
        body = gzip.decompress(body)
    shown = body + str(answer.headers).encode()
    assert MARK.encode() not in shown, (sent, answer.status, shown)
    # A store may answer 500, but Headgate may not.
    assert b"internal error" not in body, (sent, answer.status, shown)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("isolation")


@pytest.fixture(scope="module")
def influxd(folder: Path) -> Iterator[Influxd]:
    with Influxd(folder, auth=False) as influxd:
        yield influxd


@pytest.fixture(scope="module")
def victoria(folder: Path) -> Iterator[Victoria]:
    with Victoria(folder) as victoria:
        yield victoria


@pytest.fixture(scope="module")
def started(folder: Path) -> Iterator[Callable[[str, str], Server]]:
    servers: list[Server] = []

    def start(protocol: str, url: str) -> Server:
        inner = folder / protocol
        inner.mkdir()
        # Denied requests cause no delay, so no limit has to be raised.
        table = upstream(protocol, urls=[url])
        servers.append(configured(serve_on(folder / f"{protocol}.db"), inner, table))
        return servers[-1].bootstrap(TWO)

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="module")
def before_influxd(started: Callable[[str, str], Server], influxd: Influxd) -> Server:
    server = started("influxdb1", f"http://127.0.0.1:{influxd.port}")
    data = f'm,k={MARK} v=1,s="{MARK}" 1000\n'.encode()
    assert server.request("POST", "/write?db=a", data, basic=ANN).status == 204
    assert server.request("POST", "/write?db=b", b"m,k=x v=2 1000\n", basic=BOB).status == 204
    return server


@needs_influxd
@_settings
@given(sent=requests("influxdb1"))
def test_over_influxdb(before_influxd: Server, sent: Sent) -> None:
    check(before_influxd, sent)


@needs_influxd
def test_over_influxdb_nothing_has_changed(before_influxd: Server, influxd: Influxd) -> None:
    """Runs after the random requests: a has only Ann's data, and Bob still owns b."""
    query = urlencode({"q": "SELECT * FROM m", "db": "a", "epoch": "ns"})
    rows = influxd.request("GET", f"/query?{query}").rows()
    assert rows == [[1000, MARK, MARK, 1]]
    shown = influxd.query("SHOW MEASUREMENTS ON a; SHOW DATABASES").body.decode()
    assert WRITTEN_BY_BOB not in shown
    assert before_influxd.query("SHOW GRANTS FOR bob").rows() == [["b", "ALL PRIVILEGES"]]
    assert before_influxd.query("SHOW USERS").rows()[-1] == ["bob", False]


@pytest.fixture(scope="module")
def before_victoria(started: Callable[[str, str], Server], victoria: Victoria) -> Server:
    server = started("victoriametrics", victoria.url)
    data = f"m,k={MARK} v=1\n{MARK} v=1\n".encode()
    assert server.request("POST", "/write?db=a", data, basic=ANN).status == 204
    assert server.request("POST", "/write?db=b", b"m,k=x v=2\n", basic=BOB).status == 204
    poll_until(lambda: len(victoria.series()) == 3, "it was not written")
    return server


@needs_victoria
@_settings
@given(sent=requests("victoriametrics"))
def test_over_victoriametrics(before_victoria: Server, sent: Sent) -> None:
    check(before_victoria, sent)


@needs_victoria
def test_over_victoriametrics_nothing_has_changed(
    before_victoria: Server, victoria: Victoria
) -> None:
    """Runs after the random requests: a has only Ann's data."""
    assert before_victoria.query("SHOW DATABASES", ANN).rows() == [["a"]]
    of_a = {series["__name__"] for series in victoria.series('{db!="b"}')}
    assert of_a == {"m_v", f"{MARK}_v"}
