"""Real clients with an API key: influx, influxdb-python, and the client of InfluxDB 2."""

from collections.abc import Callable, Iterator
from pathlib import Path

import influxdb
import pytest
from influxdb.exceptions import InfluxDBClientError
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException

from support.account_requests import make_key
from support.gateway_fixtures import configured, upstream
from support.influx_shell import influx, needs_influx
from support.recorder_upstream import Heard, Recorder, Reply, recorder
from support.servers import Server

USERS = (
    "CREATE DATABASE telegraf; CREATE USER agent WITH PASSWORD 's3cret';"
    "GRANT ALL ON telegraf TO agent"
)


@pytest.fixture
def key(server: Server) -> str:
    server.bootstrap(USERS)
    content = {"name": "k", "user": "agent", "grants": {"telegraf": "WRITE"}}
    return str(make_key(server, content)["key"])


@needs_influx
def test_influx_takes_a_key_as_a_password(server: Server, key: str) -> None:
    login = ("-username", "api_key", "-password", key)
    printed, status = influx(server, *login, "-execute", "SHOW DATABASES")
    assert (printed, status) == ("name: databases\nname\n----\ntelegraf\n", 0)
    printed, status = influx(server, *login, "-execute", "SHOW USERS")
    assert status == 1 and "requires admin privilege" in printed


def test_influxdb_python_takes_a_key_as_a_password(server: Server, key: str) -> None:
    client = influxdb.InfluxDBClient("127.0.0.1", server.port, "agent", key)
    assert client.get_list_database() == [{"name": "telegraf"}]
    with pytest.raises(InfluxDBClientError) as refused:
        client.get_list_users()
    assert refused.value.code == 403
    client.switch_user("agent", key[:-1] + "x")
    with pytest.raises(InfluxDBClientError) as refused:
        client.get_list_database()
    assert refused.value.code == 401 and "invalid API key" in refused.value.content
    client.close()


def answer(heard: Heard) -> Reply:
    """Accepts each write, and executes each statement."""
    if heard.path.startswith("/query"):
        return 200, {"Content-Type": "application/json"}, b'{"results":[{"statement_id":0}]}\n'
    return 204, {}, b""


@pytest.fixture
def store() -> Iterator[Recorder]:
    with recorder() as upstream_store:
        upstream_store.reply = answer
        yield upstream_store


def test_the_client_of_influxdb_2_takes_a_key_as_a_token(
    serve: Callable[..., Server], tmp_path: Path, store: Recorder
) -> None:
    server = configured(serve, tmp_path, upstream("influxdb1", urls=[store.url]))
    server.bootstrap(USERS)
    key = make_key(server, {"name": "k", "user": "agent", "grants": {"telegraf": "WRITE"}})["key"]
    with InfluxDBClient(url=f"http://127.0.0.1:{server.port}", token=key, org="-") as client:
        client.write_api(write_options=SYNCHRONOUS).write("telegraf", "-", "cpu value=1")
        assert store.last.body == b"cpu value=1"
        with pytest.raises(ApiException) as refused:
            client.write_api(write_options=SYNCHRONOUS).write("other", "-", "cpu value=1")
    assert refused.value.status in (403, 404)
