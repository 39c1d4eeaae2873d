"""`/auth` requests of nginx, ingress-nginx, Traefik, Caddy and Envoy, and the responses."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import urlencode

import pytest

from headgate_engine import SqliteStore
from headgate_server.http.errors import CrossSiteRequest
from support.forward_auth_requests import QUERY, asks
from support.gateway_fixtures import ANN, BOB, TWO, configured, upstream
from support.places import REPOSITORY
from support.servers import ROOT, Answer, Server

ALLOWED = "https://grafana.example:3000"


@pytest.fixture
def server(serve: Callable[..., Server], tmp_path: Path) -> Server:
    tables = (
        upstream("mimir", name="m")
        + upstream("influxdb1", name="i", mount="/influx")
        + upstream("victoriametrics", name="v", mount="/vm", overwrite_label=True, max_labels=0)
    )
    http = f'[http]\nallowed-origins = "{ALLOWED}"\n'
    return configured(serve, tmp_path, tables + http).bootstrap(TWO)


KINDS = ["nginx", "ingress-nginx", "traefik", "caddy", "envoy"]


@pytest.mark.parametrize("kind", KINDS)
def test_which_request_may_go_on_and_as_which_user(server: Server, kind: str) -> None:
    allowed = asks(server, kind, QUERY)
    assert (allowed.status, allowed.body) == (200, b"")
    assert allowed.headers["X-Auth-User"] == "ann"
    assert allowed.headers["X-Scope-OrgID"] == allowed.headers["X-Auth-Database"] == "a"
    assert allowed.headers["X-Auth-Query"] == "query=up"
    written = asks(server, kind, "/api/v1/push", "POST", login="bob")
    assert (written.status, written.headers["X-Scope-OrgID"]) == (200, "b")
    assert asks(server, kind, "/db/b" + QUERY).status == 403
    assert asks(server, kind, QUERY, login="nobody").status == 401
    assert asks(server, kind, QUERY, X_Scope_OrgID="b").status == 403


@pytest.mark.parametrize("kind", KINDS)
def test_every_answer_is_one_that_all_of_them_understand(server: Server, kind: str) -> None:
    for uri, method, login in [
        *((QUERY, "GET", one) for one in ("ann", "root", "nobody")),
        *(("/nope", "GET", "ann"), ("/api/v1/push", "GET", "ann"), ("/api//v1", "GET", "ann")),
        *(("/distributor/ring", "GET", "ann"), ("/distributor/ring", "GET", "root")),
        *(("/%2e%2e/x", "GET", "root"), (QUERY, "PUT", "ann"), ("/db/no" + QUERY, "GET", "root")),
    ]:
        answer = asks(server, kind, uri, method, login=login)
        assert answer.status in (200, 401, 403), (uri, answer.status)
        if answer.status == 200:
            # A proxy replaces the headers of the client by these headers.
            for name in ("X-Auth-User", "X-Auth-Database", "X-Scope-OrgID", "X-Auth-Query"):
                assert answer.headers[name] is not None
        else:
            assert answer.headers["X-Auth-Error-Body"].startswith('{"error": "')
            assert ("WWW-Authenticate" in answer.headers) == (answer.status == 401)


def test_a_request_that_could_be_two_is_none(server: Server) -> None:
    original = {"X-Original-URI": QUERY, "X-Original-Method": "GET"}
    forwarded = {"X-Forwarded-Uri": "/db/b" + QUERY, "X-Forwarded-Method": "GET"}

    def status(path: str, headers: dict[str, str] | list[tuple[str, str]]) -> int:
        return server.request("GET", path, None, headers, ANN).status

    assert status("/auth/nginx/m", original) == 200
    # Each kind of proxy sets its own headers; other headers may be the client's, and are ignored.
    assert status("/auth/nginx/m", original | forwarded) == 200
    assert status("/auth/caddy/m", original | forwarded) == 403
    # Without a kind in the path, the headers tell the kind. Headers of two kinds are rejected.
    assert status("/auth", original | forwarded) == 403
    assert status("/auth/m", original) == 403  # no kind of that name
    assert status("/auth/nginx/m", {}) == 403
    assert status("/auth/nginx/m", {"X-Original-URI": QUERY}) == 403
    twice = [*original.items(), ("X-Original-URI", "/db/b" + QUERY)]
    assert status("/auth/nginx/m", twice) == 403
    ingress = original | {"X-Original-URL": "https://h/db/b/prometheus/api/v1/query"}
    assert status("/auth/nginx/m", ingress) == 403
    assert status("/auth/nginx/nope", original) == 403
    assert status("/auth/nginx", original) == 403  # there are three upstreams
    assert status("/auth/envoy/m", original) == 403
    # Caddy appends the client's parameters to the /auth URL: Headgate must ignore them.
    assert status("/auth/caddy/m?db=b&u=root&p=Toor-1", forwarded) == 403


def test_only_trusted_proxies_may_ask(serve: Callable[..., Server], tmp_path: Path) -> None:
    table = upstream("mimir", name="m")
    server = configured(serve, tmp_path, table, gateway='trusted-proxies = ["10.0.0.0/8"]')
    server.bootstrap(TWO)
    answer = asks(server, "nginx", QUERY)
    assert (answer.status, "not a trusted proxy" in answer.error) == (403, True)


def test_guesses_are_counted_for_the_client_and_not_for_the_proxy(server: Server) -> None:
    def guess(address: str, password: str) -> int:
        headers = {
            "X-Original-URI": QUERY,
            "X-Original-Method": "GET",
            "X-Real-IP": address,
        }
        return server.request("GET", "/auth/nginx/m", None, headers, ("ann", password)).status

    guessed = [guess("10.9.9.9", f"wrong-{number}") for number in range(8)]
    assert guessed[:5] == [401] * 5 and guessed[-1] == 503
    assert guess("10.9.9.8", ANN[1]) == 200


@pytest.mark.slow
def test_guesses_from_elsewhere_delay_no_client_that_logged_in_before(server: Server) -> None:
    def ask(address: str, login: tuple[str, str]) -> int:
        headers = {"X-Original-URI": QUERY, "X-Original-Method": "GET", "X-Real-IP": address}
        return server.request("GET", "/auth/nginx/m", None, headers, login).status

    assert ask("198.60.0.1", ANN) == 200
    for start in (1, 2):
        # The new process has verified no password yet, but it knows the address.
        server.stop()
        server.start()
        guessed = [ask(f"198.61.{start}.{i}", ("ann", f"wrong-{i}")) for i in range(40)]
        assert set(guessed) == {401, 503}
        assert [ask("198.60.0.1", ANN) for _ in range(5)] == [200] * 5
        assert ask(f"198.62.{start}.1", BOB) == 200
        # Wrong passwords from the known address wait as those of any client do.
        wrong = [ask("198.60.0.1", ("ann", f"wrong-{i}")) for i in range(8)]
        assert wrong[:5] == [401] * 5 and wrong[-1] == 503


@pytest.mark.parametrize("kind", KINDS)
def test_databases_of_influxdb(server: Server, kind: str) -> None:
    def ask(uri: str, method: str = "GET", login: str = "ann") -> Answer:
        return asks(server, kind, uri, method, name="i", login=login)

    write = ask("/influx/write?db=a&precision=s&u=ann&p=Ann-pw-1", "POST", "")
    assert (write.status, write.headers["X-Auth-Query"]) == (200, "db=a&precision=s")
    assert ask("/write?db=a", "POST").status == 200
    for uri in ("/write?db=b", "/write", "/write?db=a&db=b", "/write?x;db=b&db=a", "/writes?db=a"):
        assert ask(uri, "POST").status == 403, uri
    select = ask("/query?" + urlencode({"q": "select  v from cpu", "db": "a", "epoch": "s"}))
    assert select.headers["X-Auth-Query"] == "q=SELECT+v+FROM+cpu&db=a&epoch=s"
    for text in (
        *("SELECT v FROM b..cpu", "SHOW DATABASES", "SHOW USERS", "SHOW QUERIES", "nonsense"),
        *("CREATE USER x WITH PASSWORD 'pw-12345'", "SHOW CONTINUOUS QUERIES", "DROP DATABASE a"),
    ):
        refused = ask("/query?" + urlencode({"q": text, "db": "a"}))
        assert refused.status == 403, text
    # Headgate does not see the body of a POST, and InfluxDB prefers the body's q to the URL's.
    hidden = "/query?" + urlencode({"q": "SELECT v FROM cpu", "db": "a"})
    assert ask(hidden, "POST").status == 403
    assert ask("/ping").status == 200
    assert ask("/debug/vars").status == 403


def test_a_body_that_comes_along_is_looked_at(server: Server) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    path = "/auth/envoy/i/query?db=a"
    for text, status in [("SELECT v FROM cpu", 200), ("SELECT v FROM b..cpu", 403)]:
        body = urlencode({"q": text}).encode()
        assert server.request("POST", path, body, form, ANN).status == status
        partial = form | {"X-Envoy-Auth-Partial-Body": "true"}
        assert server.request("POST", path, body, partial, ANN).status == 403
        traefik = form | {"X-Forwarded-Uri": "/query?db=a", "X-Forwarded-Method": "POST"}
        answer = server.request("GET", "/auth/traefik/i", body, traefik, ANN)
        assert answer.status == status
    # The body's database beats the URL's, as in InfluxDB.
    body = urlencode({"q": "SELECT v FROM cpu", "db": "b"}).encode()
    assert server.request("POST", path, body, form, ANN).status == 403


@pytest.mark.parametrize("kind", KINDS)
def test_databases_of_victoriametrics(server: Server, kind: str) -> None:
    allowed = asks(server, kind, "/vm/api/v1/query?query=up&extra_label=db%3Db", name="v")
    if kind in ("traefik", "envoy"):  # these proxies cannot add the label db
        assert allowed.status == 403 and "cannot confine" in allowed.error
        return
    assert allowed.status == 200
    assert allowed.headers["X-Auth-Query"] == "query=up&db=a&extra_label=db%3Da"
    assert asks(server, kind, "/vm/api/v1/query?db=b", name="v").status == 403


def test_without_upstreams_there_is_nothing_to_ask_about(serve: Callable[..., Server]) -> None:
    server = serve().bootstrap()
    headers = {"X-Original-URI": QUERY, "X-Original-Method": "GET"}
    assert server.request("GET", "/auth/nginx", None, headers, ROOT).status == 404


def test_the_examples_of_traefik_and_envoy_ask_so(server: Server) -> None:
    examples = REPOSITORY / "examples"
    traefik = (examples / "traefik" / "dynamic.yml").read_text()
    assert "http://HEADGATE/auth/traefik/NAME" in traefik
    envoy = (examples / "envoy" / "envoy.yaml").read_text()
    assert "path_prefix: /auth/envoy/NAME" in envoy
    for name in ("X-Auth-User", "X-Auth-Database", "X-Scope-OrgID"):
        assert name in traefik and name.lower() in envoy


OTHER_SITES: list[dict[str, str]] = [
    {"Sec_Fetch_Site": "cross-site"},
    {"Sec_Fetch_Site": "same-site"},
    {"Sec_Fetch_Site": "cross-site", "Origin": "https://example.com"},
    {"Origin": "https://evil.example"},
    {"Origin": "https://example.com.evil.example"},
    {"Origin": "https://example.com:8443"},
    {"Origin": "null"},
    {"Origin": "https://evil.example", "X_Forwarded_Host": "example.com, evil.example"},
]
OWN_SITE: list[dict[str, str]] = [
    {},
    {"Sec_Fetch_Site": "same-origin", "Origin": "https://example.com"},
    {"Sec_Fetch_Site": "none"},
    {"Origin": "https://example.com"},
    {"Origin": "https://EXAMPLE.com", "X_Forwarded_Host": "Example.com, inner.example"},
    {"Sec_Fetch_Site": "cross-site", "Origin": ALLOWED},
]


def statement(text: str) -> str:
    return "/influx/query?" + urlencode({"q": text, "db": "a"})


CHANGES = [
    ("m", "/api/v1/push", "POST"),
    ("i", "/influx/write?db=a", "POST"),
    ("i", "/influx/api/v2/write?bucket=a", "POST"),
    ("i", "/influx/api/v1/prom/write?db=a", "POST"),
    ("i", statement("SELECT v INTO x FROM cpu"), "GET"),
    ("i", statement("SELECT v FROM cpu; SELECT v INTO x FROM cpu"), "GET"),
    ("i", statement("SELECT v FROM cpu; " * 20 + "SELECT v INTO x FROM cpu"), "GET"),
    ("v", "/vm/api/v1/import", "POST"),
]
READS = [
    ("m", QUERY, "GET"),
    ("i", statement("SELECT v FROM cpu"), "GET"),
    ("i", "/influx/api/v1/prom/read?db=a", "POST"),
    ("i", "/influx/ping", "GET"),
]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_change_that_a_page_of_another_site_sent_is_refused(server: Server, kind: str) -> None:
    def ask(change: tuple[str, str, str], fields: dict[str, str]) -> tuple[int, str]:
        name, uri, method = change
        # nginx (as in examples/) and Envoy keep the client's Host; other proxies send their own.
        host = "example.com" if kind in ("nginx", "envoy") else "headgate:8086"
        answer = asks(server, kind, uri, method, **({"Host": host, "name": name} | fields))
        return answer.status, answer.error if answer.status == 403 else ""

    refused = str(CrossSiteRequest())
    for change in CHANGES:
        if change[0] == "v" and kind in ("traefik", "envoy"):
            continue  # these proxies cannot add the label db
        for fields in OTHER_SITES:
            assert ask(change, fields) == (403, refused), (change, fields)
        for fields in OWN_SITE:
            assert ask(change, fields) == (200, ""), (change, fields)
    for read in READS:
        for fields in OTHER_SITES:
            assert ask(read, fields) == (200, ""), (read, fields)


def test_a_websocket_that_a_page_of_another_site_opens_is_refused(server: Server) -> None:
    socket = {"Sec_WebSocket_Key": "x", "X_Forwarded_Host": "example.com"}
    assert asks(server, "nginx", QUERY, Origin="https://example.com", **socket).status == 200
    answer = asks(server, "nginx", QUERY, Origin="https://evil.example", **socket)
    assert (answer.status, answer.error.partition(" that")[0]) == (403, "a WebSocket")


def test_without_users_the_first_administrator_is_missing_and_the_audit_blames_no_user(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    table = upstream("influxdb1", name="i")
    server = configured(serve, tmp_path, table)
    for method, uri in (("POST", "/write?db=a"), ("POST", "/query?q=SHOW+DATABASES")):
        headers = {"X-Original-URI": uri, "X-Original-Method": method}
        answer = server.request("GET", "/auth/nginx/i", None, headers)
        assert (answer.status, "create admin user first" in answer.error) == (403, True)
    server.bootstrap()
    server.stop()
    with closing(SqliteStore(server.store, create=False)) as store:
        assert {record.actor for record in store.audit()} <= {"", "root"}
