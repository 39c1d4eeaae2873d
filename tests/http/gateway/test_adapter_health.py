"""The health checks of each kind of upstream store, by addresses that answer and that fail."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from headgate_server.config.gateway import UpstreamSettings
from headgate_server.upstream.adapter import UpstreamAdapter
from headgate_server.upstream.adapters import ADAPTERS
from headgate_server.upstream.errors import UpstreamAuthError, UpstreamError, UpstreamUnreachable
from headgate_server.upstream.health_checks import probe_address
from headgate_server.upstream.tenant_store import TenantStoreAdapter
from headgate_server.validation.gateway import check_protocol
from support.adapters import adapter
from support.recorder_upstream import recorder
from support.waiting import free_port

T = TypeVar("T")
# A response that lists labels, for each kind that has such a path.
LABELS = {
    "mimir": b'{"data":["job"]}',
    "loki": b'{"data":["job"]}',
    "prometheus": b'{"data":["job"]}',
}


def has_labels(protocol: str) -> bool:
    return bool(getattr(ADAPTERS[protocol], "labels_path", ""))


def with_adapter(settings: UpstreamSettings, work: Callable[[UpstreamAdapter], Awaitable[T]]) -> T:
    async def run() -> T:
        subject = adapter(settings)
        try:
            return await work(subject)
        finally:
            subject.upstream.close()

    return asyncio.run(run())


def settings(protocol: str, url: str) -> UpstreamSettings:
    return UpstreamSettings("x", protocol, (url,), token="Zk7", fail_timeout=0.0)


def probe(protocol: str, url: str) -> UpstreamError | None:
    return with_adapter(settings(protocol, url), lambda one: probe_address(one, url))


@pytest.mark.parametrize("protocol", ADAPTERS)
def test_a_probe_carries_the_login_and_sees_each_fault(protocol: str) -> None:
    with recorder() as store:
        assert probe(protocol, store.url) is None
        scheme = ADAPTERS[protocol].authorization_scheme
        assert store.last.all("Authorization") == [f"{scheme} Zk7"]
        store.reply = lambda heard: (401, {}, b"")
        assert isinstance(probe(protocol, store.url), UpstreamAuthError)
        store.reply = lambda heard: (503, {}, b"")
        assert isinstance(probe(protocol, store.url), UpstreamError)
    gone = f"http://127.0.0.1:{free_port()}"
    assert isinstance(probe(protocol, gone), UpstreamUnreachable)


@pytest.mark.parametrize("protocol", ADAPTERS)
def test_an_address_of_another_kind_is_named(protocol: str) -> None:
    with recorder() as store:
        store.reply = lambda heard: (404, {}, b"<html>not here</html>")
        found = with_adapter(
            settings(protocol, store.url), lambda one: one.protocol_mismatch(store.url)
        )
    unchecked = not has_labels(protocol) and issubclass(ADAPTERS[protocol], TenantStoreAdapter)
    assert found.startswith("does not answer as ") == (not unchecked)
    assert "\n" not in found


# What a VictoriaMetrics 1.79 answers to any statement, and to a path of Loki.
VICTORIAMETRICS = (
    b'{"results":[{"statement_id":0,"series":'
    b'[{"name":"databases","columns":["name"],"values":[["_internal"]]}]}]}'
)
UNSUPPORTED = b'unsupported path requested: "/loki/api/v1/labels"'


@pytest.mark.parametrize(
    ("protocol", "status", "body", "text"),
    [
        ("influxdb1", 200, VICTORIAMETRICS, "does not answer SHOW USERS as InfluxDB 1 does"),
        ("loki", 400, UNSUPPORTED, "does not answer as loki"),
    ],
)
def test_a_victoriametrics_of_another_protocol_is_named(
    protocol: str, status: int, body: bytes, text: str
) -> None:
    with recorder() as store:
        store.reply = lambda heard: (status, {"X-Influxdb-Version": "1.8.0"}, body)
        found = with_adapter(
            settings(protocol, store.url), lambda one: one.protocol_mismatch(store.url)
        )
    assert found == f"{text}: see protocol"


def test_an_address_that_is_away_hides_no_mismatch_of_another() -> None:
    away = f"http://127.0.0.1:{free_port()}"
    with recorder() as store:
        store.reply = lambda heard: (200, {}, VICTORIAMETRICS)
        both = UpstreamSettings("x", "influxdb1", (away, store.url), fail_timeout=0.0)
        (found,) = with_adapter(both, check_protocol)
    assert found.startswith(f"{store.url} does not answer SHOW USERS")
    with pytest.raises(UpstreamUnreachable):
        with_adapter(UpstreamSettings("x", "influxdb1", (away,), fail_timeout=0.0), check_protocol)


def test_an_influxdb_of_another_version_is_named() -> None:
    with recorder() as store:
        store.reply = lambda heard: (200, {"X-Influxdb-Version": "v2.7.1"}, b'{"results":[]}')
        for protocol, text in (
            ("influxdb1", "is InfluxDB 2.7.1, expected 1: see protocol"),
            ("influxdb2", ""),
            ("influxdb3", "is InfluxDB 2.7.1, expected 3: see protocol"),
        ):
            found = with_adapter(
                settings(protocol, store.url), lambda one: one.protocol_mismatch(store.url)
            )
            assert found == text


@pytest.mark.parametrize("protocol", ADAPTERS)
def test_a_store_with_the_same_labels_for_every_tenant_is_named(protocol: str) -> None:
    with recorder() as store:
        store.reply = lambda heard: (
            (404, {}, b"") if "walreplay" in heard.path else (200, {}, LABELS.get(protocol, b"{}"))
        )
        found = with_adapter(settings(protocol, store.url), lambda one: one.confinement_warning())
    assert has_labels(protocol) == (protocol in LABELS), "LABELS needs a response of this kind"
    assert found.endswith("READ on one database reads all") == has_labels(protocol)
    assert found or not has_labels(protocol)
