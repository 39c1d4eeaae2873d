"""PyPI's influxdb client against our server: the library that Python programs use."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import influxdb
import pytest
import requests
import trustme
from influxdb.exceptions import InfluxDBClientError

from support.servers import ROOT, Server


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    server.bootstrap()
    client = influxdb.InfluxDBClient("127.0.0.1", server.port, *ROOT)
    yield client
    client.close()


def test_users_and_grants_through_the_library(client: Any) -> None:
    client.create_database("telegraf")
    client.create_user("todd", "s3cret")
    client.create_user("boss", "x", admin=True)
    client.grant_privilege("read", "telegraf", "todd")
    assert client.get_list_privileges("todd") == [{"database": "telegraf", "privilege": "READ"}]
    client.revoke_privilege("read", "telegraf", "todd")
    assert client.get_list_privileges("todd") == [
        {"database": "telegraf", "privilege": "NO PRIVILEGES"}
    ]
    client.grant_privilege("all", "telegraf", "todd")
    assert client.get_list_users() == [
        {"user": "root", "admin": True},
        {"user": "todd", "admin": False},
        {"user": "boss", "admin": True},
    ]
    client.switch_user("todd", "s3cret")
    assert client.get_list_database() == [{"name": "telegraf"}]
    client.switch_user(*ROOT)
    client.set_user_password("todd", "other")
    client.switch_user("todd", "other")
    assert client.get_list_database() == [{"name": "telegraf"}]
    client.switch_user(*ROOT)
    client.grant_admin_privileges("todd")
    client.revoke_admin_privileges("todd")
    client.drop_user("todd")
    client.drop_database("telegraf")
    assert [user["user"] for user in client.get_list_users()] == ["root", "boss"]
    assert client.ping()


def test_refusals_are_the_librarys_own_exceptions(client: Any) -> None:
    client.create_user("todd", "s3cret")
    client.switch_user("todd", "wrong")
    with pytest.raises(InfluxDBClientError) as refused:
        client.get_list_users()
    assert refused.value.code == 401 and "authorization failed" in refused.value.content
    client.switch_user("todd", "s3cret")
    with pytest.raises(InfluxDBClientError) as refused:
        client.get_list_users()
    assert refused.value.code == 403
    assert "todd not authorized to execute statement 'SHOW USERS'" in refused.value.content
    client.switch_user(*ROOT)
    with pytest.raises(InfluxDBClientError, match="user not found"):
        client.drop_user("nobody")


def test_it_speaks_json_and_message_pack(client: Any) -> None:
    client.create_database("telegraf")
    for accept in ("application/json", "application/x-msgpack"):
        client._headers["Accept"] = accept
        assert client.get_list_database() == [{"name": "telegraf"}]


def test_logins_in_the_url_are_taken_as_well(server: Server) -> None:
    """The library knows Basic only; scripts with requests use `u` and `p`."""
    server.bootstrap()
    url = f"http://127.0.0.1:{server.port}/query"
    answer = requests.get(url, {"u": ROOT[0], "p": ROOT[1], "q": "SHOW USERS"}, timeout=20)
    assert answer.json()["results"][0]["series"][0]["values"] == [["root", True]]


def test_https_with_a_certificate_that_is_checked(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    authority = trustme.CA()
    certificate, trusted = tmp_path / "server.pem", tmp_path / "authority.pem"
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(str(certificate))
    authority.cert_pem.write_to_path(str(trusted))
    server = serve().bootstrap("CREATE DATABASE telegraf")
    server.stop()
    server.environment |= {
        "HEADGATE_HTTP_HTTPS_ENABLED": "true",
        "HEADGATE_HTTP_HTTPS_CERTIFICATE": str(certificate),
    }
    server.start()
    for verified, good in ((str(trusted), True), (True, False)):
        make: Any = influxdb.InfluxDBClient
        client = make("127.0.0.1", server.port, *ROOT, ssl=True, verify_ssl=verified, retries=1)
        if good:
            assert client.get_list_database() == [{"name": "telegraf"}]
        else:
            with pytest.raises(requests.exceptions.SSLError):
                client.get_list_database()
        client.close()
