"""The login of a subscription reaches a real store."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from headgate_engine import AuditRecord, SqliteStore
from support.gateway_fixtures import TWO, configured, upstream
from support.influxd import Influxd, needs_influxd
from support.raw_upstream import raw_upstream
from support.scripted_upstream import (
    Script,
)
from support.servers import ROOT, Server

PASSWORD = "Sub-Secret-77"
URL = f"http://svc:{PASSWORD}@127.0.0.1:9/write"


def records(server: Server) -> list[AuditRecord]:
    store = SqliteStore(server.store, create=False)
    try:
        return list(store.audit(limit=100_000))
    finally:
        store.close()


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def server(serve: Callable[..., Server], tmp_path: Path, script: Script) -> Iterator[Server]:
    with raw_upstream(script) as store:
        table = upstream("influxdb1", urls=[store.url])
        server = configured(serve, tmp_path, table).bootstrap(TWO)
        script.asked.clear()
        yield server
        server.stop()


STATEMENTS: tuple[tuple[str, dict[str, object]], ...] = (
    (f"CREATE SUBSCRIPTION s ON a.autogen DESTINATIONS ALL '{URL}'", {}),
    ("CREATE SUBSCRIPTION s ON a.autogen DESTINATIONS ALL $url", {"url": URL}),
    ("CREATE SUBSCRIPTION s ON a.autogen DESTINATIONS ANY $a, $b",
     {"a": f"https://{PASSWORD}@h:1?p={PASSWORD}", "b": f"udp://u:p@{PASSWORD}@h:2"}),
    (f"SELECT v FROM m WHERE h = '{URL}'", {}),
    ("SELECT v FROM m WHERE h = $url", {"url": URL}),
    (f"SELECT v INTO copy FROM m WHERE h = 'see {URL}?token={PASSWORD}'", {}),
    (f"DELETE FROM m WHERE h = '{URL}'", {}),
    (f'SHOW TAG VALUES FROM "{URL}" WITH KEY = h', {}),
    (f'DROP MEASUREMENT "{URL}"', {}),
)  # fmt: skip


@needs_influxd
def test_a_real_store_gets_the_login_of_a_subscription(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    with Influxd(tmp_path, auth=False) as influxd:
        server = serve("--upstream", f"http://127.0.0.1:{influxd.port}").bootstrap(TWO)
        for text, parameters in STATEMENTS[:3]:
            form = {"q": text, "db": "a", "params": json.dumps(parameters)}
            url = "/query?" + urlencode(form)
            answer = server.request("POST", url, b"", basic=ROOT)
            assert answer.status == 200 and not answer.error, answer.body
            assert PASSWORD in influxd.query("SHOW SUBSCRIPTIONS").body.decode()
            assert not server.query("DROP SUBSCRIPTION s ON a.autogen").error
        assert PASSWORD not in server.log()
        assert not any(PASSWORD in repr(record) for record in records(server))
