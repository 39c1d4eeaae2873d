"""Metrics for operation: what is in the store, the settings in effect, certificates, key sets."""

import gzip
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from headgate_server.config.effective import configuration_hash
from headgate_server.config.loader import load
from headgate_server.serving.listeners import Listeners
from headgate_server.serving.tls import CertificateError, certificate_end
from headgate_server.serving.worker import make_server
from headgate_server.telemetry.metric_buffer import MetricBuffer
from headgate_server.telemetry.user_metrics import UserMetrics
from support.local_server import LocalServer
from support.servers import ROOT

Serve = Callable[..., LocalServer]


def metrics(server: LocalServer) -> dict[tuple[str, ...], float]:
    text = server.request("GET", "/metrics").body.decode()
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_what_is_in_the_store_is_counted(serve: Serve) -> None:
    server = serve().bootstrap(
        "CREATE USER todd WITH PASSWORD 's3cret'",
        "CREATE USER ann WITH PASSWORD 's3cret' WITH ALL PRIVILEGES",
        "CREATE DATABASE d",
    )
    found = metrics(server)
    assert found["headgate_users",] == 3
    assert found["headgate_admins",] == 2
    assert found["headgate_databases",] == 1
    assert found["headgate_store_size_bytes",] > 4096
    assert found["headgate_config_last_reload_success_timestamp_seconds",] > 1.7e9


def test_metrics_are_packed_where_the_client_takes_it(serve: Serve) -> None:
    server = serve()
    answer = server.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert b"headgate_build_info" in gzip.decompress(answer.body)
    assert "Content-Encoding" not in server.request("GET", "/metrics").headers


def test_requests_are_counted_by_user_where_that_is_asked_for(serve: Serve, tmp_path: Path) -> None:
    configuration = tmp_path / "headgate.toml"
    configuration.write_text("[gateway]\nuser-metrics = true\n")
    server = serve("--config", str(configuration)).bootstrap(
        "CREATE USER todd WITH PASSWORD 's3cret'", "CREATE DATABASE d", "GRANT READ ON d TO todd"
    )
    todd = ("todd", "s3cret")
    server.query("SHOW DATABASES", todd, db="d")
    server.query("SHOW DATABASES", todd, db="made up")
    server.query("SHOW USERS", todd)
    server.query("SHOW USERS", ("ann", "wrong-1"))
    name = "headgate_user_requests_total"
    found = {key[1:]: n for key, n in metrics(server).items() if key[0] == name}
    # In the order of the labels: database, outcome, user.
    assert found["d", "answered", "todd"] == 1
    assert found["(other)", "answered", "todd"] == 1
    assert found["", "refused", "todd"] == 1
    assert found["", "answered", ROOT[0]] >= 3
    assert not [key for key in found if "made up" in key or "ann" in key]


def test_requests_are_not_counted_by_user_by_default(serve: Serve) -> None:
    server = serve().bootstrap()
    assert b"headgate_user_requests_total{" not in server.request("GET", "/metrics").body


def test_made_up_names_have_no_more_series(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headgate_server.telemetry.user_metrics._MAX_SERIES", 5)
    registry, buffer = CollectorRegistry(), MetricBuffer()
    users = UserMetrics(registry, buffer, lambda user, database: not database)
    for number in range(100):
        users.count(f"u{number}", "made up", 200)
    buffer.flush()
    assert generate_latest(registry).decode().count("headgate_user_requests_total{") == 6


def test_only_so_many_pairs_have_series(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headgate_server.telemetry.user_metrics._MAX_SERIES", 2)
    registry, buffer = CollectorRegistry(), MetricBuffer()
    users = UserMetrics(registry, buffer, lambda user, database: True)
    for user, databases in (("a", ""), ("b", "x|y"), ("c", ""), ("a", "")):
        users.count(user, databases, 500)
    buffer.flush()
    text = generate_latest(registry).decode()
    assert 'database="",outcome="failed",user="a"} 2.0' in text
    assert 'database="(several)",outcome="failed",user="b"} 1.0' in text
    assert 'database="(other)",outcome="failed",user="(other)"} 1.0' in text
    assert 'user="c"' not in text


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("[http]\nrealm = 'a'\n", "[http]\nrealm = 'b'\n", True),
        ("[http]\nshared-secret = 'a'\n", "[http]\nshared-secret = 'b'\n", True),
        ("", "[auth]\npassword-min-length = 13\n", False),
        ("", "[gateway]\nupstream = 'http://127.0.0.1:1'\n", False),
        (
            "[gateway]\nupstream = 'http://127.0.0.1:2'\n",
            "[gateway]\nupstream = 'http://127.0.0.1:1'\n",
            True,
        ),
    ],
)
def test_the_hash_tells_settings_apart_that_machines_need_alike(
    tmp_path: Path, one: str, other: str, equal: bool
) -> None:
    hashes = []
    for text in (one, other):
        path = tmp_path / "headgate.toml"
        path.write_text(text)
        hashes.append(configuration_hash(load({}, {}, str(path)).settings))
    assert (hashes[0] == hashes[1]) is equal


def test_the_end_of_the_certificate_in_use_is_shown(tmp_path: Path) -> None:
    ends = datetime(2040, 1, 2, tzinfo=UTC)
    path = tmp_path / "server.pem"
    issued = trustme.CA().issue_cert("127.0.0.1", not_after=ends)
    path.write_bytes(b"".join(it.bytes() for it in issued.cert_chain_pems))
    assert certificate_end(str(path)) == ends.timestamp()
    path.write_text("no certificate")
    with pytest.raises(CertificateError, match="not a certificate in PEM"):
        certificate_end(str(path))
    path.unlink()
    with pytest.raises(CertificateError, match="No such file"):
        certificate_end(str(path))


def test_a_certificate_that_cannot_be_read_again_is_told_by_health(tmp_path: Path) -> None:
    path = tmp_path / "server.pem"
    issued = trustme.CA().issue_cert("127.0.0.1")
    path.write_bytes(issued.private_key_and_cert_chain_pem.bytes())
    file = tmp_path / "headgate.toml"
    file.write_text(f"[http]\nhttps-enabled = true\nhttps-certificate = {str(path)!r}\n")
    settings = load({}, {}, str(file)).settings
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = make_server(settings, Listeners(listener), lambda: None)
        server.reload()
        assert server.application.status.reload_error == ""
        path.write_text("no certificate")
        server.reload()
    assert str(path) in server.application.status.reload_error
    text, _ = server.application.metrics.render("")
    assert b"headgate_config_last_reload_successful 0.0" in text


def test_users_are_counted_no_more_after_a_reload_without_it(serve: Serve, tmp_path: Path) -> None:
    configuration = tmp_path / "headgate.toml"
    configuration.write_text("[gateway]\nuser-metrics = true\n")
    server = serve("--config", str(configuration)).bootstrap()
    name = ("headgate_user_requests_total", "", "answered", "root")
    server.query("SHOW USERS")
    before = metrics(server)[name]
    configuration.write_text("")
    assert server.request("POST", "/api/reload", basic=ROOT).status == 200
    server.query("SHOW USERS")
    assert metrics(server)[name] <= before + 1, "the reload itself may still count"
