"""Reload, stop, checks and the audit of a server with stores behind it."""

import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from support.gateway_fixtures import ANN, TWO, configured, upstream
from support.programs_of_ours import run_headgate
from support.raw_upstream import raw_upstream
from support.recorder_upstream import recorder
from support.server_process import ServerProcess
from support.servers import Server
from support.waiting import poll_until

QUERY = "/prometheus/api/v1/query"
PUSH = "/api/v1/push"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sighup_puts_another_store_in_the_place_of_one(
    serve_process: Callable[..., ServerProcess], tmp_path: Path, workers: str
) -> None:
    with recorder("one") as one, recorder("two") as two:
        path = tmp_path / "headgate.toml"
        server = configured(
            serve_process, tmp_path, upstream("mimir", urls=[one.url]), "--workers", workers
        ).bootstrap(TWO)
        assert server.request("GET", QUERY, basic=ANN).status == 200

        def reload(text: str) -> None:
            path.write_text(text)
            server.reload()

        def all_reach_two() -> bool:
            two.heard.clear()
            answers = [server.request("GET", QUERY, basic=ANN).status for _ in range(20)]
            return len(two.heard) == 20 and answers == [200] * 20

        reload("[gateway]\n" + upstream("mimir", urls=[two.url]))
        poll_until(
            lambda: server.log().count("gateway read again") == int(workers),
            "a worker keeps the former configuration",
        )
        poll_until(all_reach_two, "some still reach the former")
        for wrong, complaint in [
            ("[gateway]\n" + upstream("mimir", urls=["nowhere"]), "urls: expected addresses"),
            (
                "[gateway]\n" + upstream("mimr", urls=[one.url]),
                "protocol 'mimr': expected influxdb1",
            ),
            ("[gateway", "no TOML"),
            ("[gateway]\n" + upstream("mimir", urls=[one.url], table="/x.toml"), "No such file"),
        ]:
            reload(wrong)
            poll_until(partial(said, server, complaint), f"no complaint: {complaint}")
            assert all_reach_two()

        def gauge() -> str:
            lines = server.request("GET", "/metrics").body.decode().splitlines()
            name = "headgate_config_last_reload_successful "
            return next(line.removeprefix(name) for line in lines if line.startswith(name))

        def health() -> list[str]:
            content = server.request("GET", "/health").json
            return [check["name"] for check in content["checks"] if check["status"] == "fail"]

        poll_until(
            lambda: gauge() == "0.0" and health() == ["configuration"],
            "the failure is not reported",
        )
        reload("[gateway]\n" + upstream("mimir", urls=[two.url]))
        poll_until(lambda: gauge() == "1.0" and health() == [], "it is well again")


def test_what_is_under_way_is_finished_when_it_ends(
    serve_process: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    seen, going_on = threading.Event(), threading.Event()

    def slow(line: socket.socket, request: bytes) -> None:
        seen.set()
        going_on.wait(20)
        line.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")

    with raw_upstream(slow) as store:
        table = upstream("mimir", urls=[store.url])
        server = configured(serve_process, tmp_path, table).bootstrap(TWO)
        with ThreadPoolExecutor(1) as threads:
            written = threads.submit(server.request, "POST", PUSH, b"x" * 50_000, None, ANN)
            assert seen.wait(20)
            assert server.process is not None
            server.process.terminate()
            refused = lambda: not_listening(server.port)  # noqa: E731
            poll_until(refused, "it takes new connections")
            going_on.set()
            assert written.result().status == 204
        assert server.process.wait(20) == 0


def said(server: Server, text: str) -> bool:
    return text in server.log()


def not_listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return True
    return False


def test_what_is_refused_is_in_the_audit(serve: Callable[..., Server], tmp_path: Path) -> None:
    import json

    with recorder() as store:
        table = upstream("mimir", name="m", urls=[store.url])
        server = configured(serve, tmp_path, table).bootstrap(TWO)
        server.request("GET", "/db/b" + QUERY, basic=ANN)

        def records() -> list[dict[str, str]]:
            done = run_headgate("audit", "--store", str(server.store), "--json", check=True)
            return [json.loads(line) for line in done.stdout.splitlines()]

        def there() -> bool:
            return any(
                (one["actor"], one["statement"]) == ("ann", "-- m")
                and "requires READ on b" in one["outcome"]
                for one in records()
            )

        poll_until(there, "not recorded")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('upstream = "http://"', "upstream: urls: expected addresses such as"),
        ('upstream = "ftp://h"', "urls: expected addresses such as http://host:8086"),
        ('upstream = "http://u:p@h"', "an address has no login, query or fragment"),
        ('protocol = "loki"', "protocol: expected an upstream's address beside it"),
        ('upstream = "http://h"\nprotocol = "x"', "protocol 'x': expected influxdb1, influxdb2"),
        ("upstreams = 1", "upstreams: unknown option"),
        ('trusted-proxies = ["x"]', "trusted-proxies: 'x': expected networks"),
        ("max-concurrent-per-user = -1", "max-concurrent-per-user: expected 0 or more"),
        ("[[gateway.upstream]]\nurl = 'x'", "upstream: url: unknown option"),
        ("[[gateway.upstream]]\nname = 'a b'", "upstream 'a b': name: expected letters"),
        ("[[gateway.upstream]]\nmount = 'vm'", "mount: expected a path such as /vm"),
        ("[[gateway.upstream]]\n[[gateway.upstream]]", "'influxdb1' twice"),
        (
            "[[gateway.upstream]]\nprotocol = 'loki'\ntenant-name = 'x'",
            "expected allow-anonymous = true",
        ),
        ('upstream = "http://h:99999"', "expected addresses such as"),
        ("[[gateway.upstream]]\nhosts = ['h:80']", "hosts: expected names, without ports"),
        ("[[gateway.upstream]]\nfederation = true", "federation: influxdb1 has none"),
        ("[[gateway.upstream]]\ntenants = {a = 'b'}", "tenants: influxdb1 has none"),
        (
            "[[gateway.upstream]]\nprotocol = 'loki'\ntenants = {a = 'x', b = 'x'}",
            "tenants: two databases of one name",
        ),
        (
            "[[gateway.upstream]]\nprotocol = 'loki'\ntenants = {a = 'x y'}",
            "tenants: expected names such as team-a",
        ),
        (
            "[[gateway.upstream]]\nprotocol = 'loki'\ncomponents = {insert = 'http://h'}",
            "components: insert: expected one of distributor",
        ),
        (
            "[[gateway.upstream]]\nprotocol = 'victoriametrics'\ntenants = {a = '1:2'}",
            "tenants: only a cluster has them",
        ),
        ("[[gateway.upstream]]\npassword-file = '/none'", "password-file /none: No such file"),
        ('[[gateway.upstream]]\ntoken = "a\\nb"', "token: expected one line of printable text"),
        ("[[gateway.upstream]]\npassword = 'x'", "password: expected a username beside it"),
        ("[[gateway.upstream]]\ntls-ca = '/none'", "tls-ca: No such file or directory"),
        (
            "[[gateway.upstream]]\nprotocol='loki'\ncomponents = {x='http://h'}",
            "x: expected one of",
        ),
        (
            "[[gateway.upstream]]\n[gateway.upstream.jwt]\nsecret = 1",
            "jwt: secret: expected a string",
        ),
        ("[[gateway.upstream]]\n[gateway.upstream.jwt]\nx = 1", "jwt: x: unknown option"),
        (
            "[[gateway.upstream]]\nprotocol='loki'\n[[gateway.upstream.routes]]\npaths = ['/x']",
            "routes: a route has methods, paths and privilege",
        ),
        (
            "[[gateway.upstream]]\nprotocol='loki'\n[gateway.upstream.jwt]\n"
            "jwk-set-url = 'http://x/'",
            "jwk-set-url",
        ),
    ],
)
def test_a_wrong_setting_is_one_line(tmp_path: Path, text: str, complaint: str) -> None:

    path = tmp_path / "headgate.toml"
    path.write_text(f"[gateway]\n{text}\n")
    done = run_headgate("serve", "--check", "--config", str(path))
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("\n") == 1 and "[gateway]" in done.stderr
    assert complaint in done.stderr
