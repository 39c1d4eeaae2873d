"""Twelve attacks on the gateway. The docstrings name the files with more cases."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import pytest

from support import made_tokens as made
from support.gateway_fixtures import ANN, TWO, configured, upstream
from support.recorder_upstream import Recorder, recorder
from support.servers import ROOT, Server

SECRET = "a secret of more than thirty-two bytes, for all"
QUERY = "/m/prometheus/api/v1/query"


@pytest.fixture
def store() -> Iterator[Recorder]:
    with recorder() as store:
        store.reply = lambda heard: (
            (204, {}, b"")
            if heard.path == "/write"
            else (200, {}, b'{"results":[{"statement_id":0}]}\n')
        )
        yield store


@pytest.fixture
def server(serve: Callable[..., Server], tmp_path: Path, store: Recorder) -> Server:
    jwt = {"secret": SECRET, "extra-headers": ["X-Id-Token"]}
    tables = upstream("mimir", urls=[store.url], mount="/m", jwt=jwt)
    tables += upstream("victoriametrics", urls=[store.url], mount="/v")
    tables += upstream("influxdb1", urls=[store.url])
    gateway = 'trusted-proxies = ["127.0.0.1/32"]'
    server = configured(serve, tmp_path, tables, gateway=gateway).bootstrap(TWO)
    store.heard.clear()
    return server


def plain(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


@pytest.mark.slow
def test_01_headers_that_name_a_user(server: Server, store: Recorder) -> None:
    """Headers of other programs, on every protocol. Spellings, Connection: test_tenants.py."""
    spoofed = [
        *(("X-Scope-OrgID", "a"), ("X_Scope_OrgID", "b"), ("X.Scope.OrgID", "b")),
        *(("Connection", "X-Scope-OrgID, X-Auth-User"), ("X-Forwarded-User", "root")),
        *(("X-Auth-User", "root"), ("x_auth_user", "root"), ("X-WEBAUTH-USER", "root")),
    ]
    for path in (QUERY, "/v/api/v1/query", "/query?q=SHOW+MEASUREMENTS&db=a"):
        assert server.request("GET", path, None, spoofed, ANN).status == 200
        said = {
            name.lower().replace("_", "-").replace(".", "-"): v for name, v in store.last.headers
        }
        assert said.get("x-auth-user", "ann") == "ann"
        assert said.get("x-scope-orgid", "a") == "a"


@pytest.mark.slow
def test_02_parameters_that_two_read_in_two_ways(server: Server, store: Recorder) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    multipart = {"Content-Type": "multipart/form-data; boundary=x"}
    part = b'--x\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'
    bound = '{"m":"b..cpu"}'
    select, foreign = "SELECT v FROM cpu", "SELECT v FROM b..cpu"
    attempts: list[tuple[str, bytes, dict[str, str]]] = [
        (f"/query?{urlencode({'q': select, 'db': 'a'})}&db=b", b"", {}),
        (f"/query?db=b&{urlencode({'q': select, 'db': 'a'})}", b"", {}),
        (f"/query?x=1;db=b&{urlencode({'q': select, 'db': 'a'})}", b"", {}),
        (f"/query?%64b=b&{urlencode({'q': select, 'db': 'a'})}", b"", {}),
        (f"/query?DB=b&{urlencode({'q': select, 'db': 'a'})}", b"", {}),
        ("/query?db=a", urlencode({"q": select, "db": "b"}).encode(), form),
        ("/query?db=b", urlencode({"q": select, "db": "a"}).encode(), form),
        ("/query?db=a&q=SELECT+v+FROM+cpu", urlencode({"q": foreign}).encode(), form),
        ("/query?db=a", part % (b"q", b"", foreign.encode()) + b"--x--\r\n", multipart),
        (
            "/query?db=a",
            part % (b"q", b'; filename="q"', foreign.encode()) + b"--x--\r\n",
            multipart,
        ),
        ("/query?db=a", urlencode({"q": f"{select}; {foreign}"}).encode(), form),
        ("/query?db=a", urlencode({"q": "SELECT v FROM $m", "params": bound}).encode(), form),
    ]
    for path, body, headers in attempts:
        server.request("POST", path, body, headers, ANN)
    for path in (
        "/write?db=a&db=b",
        "/write?x=1;db=b&db=a",
        "/write?%64b=a&db=b",
        "/write?DB=b&db=a",
    ):
        server.request("POST", path, b"m v=1", basic=ANN)
    assert store.heard
    for heard in store.heard:
        # A forwarded request names only the database a, and each parameter once.
        pairs = (
            heard.pairs + parse_qsl(heard.body.decode()) if heard.path == "/query" else heard.pairs
        )
        names = [name.lower() for name, _ in pairs]
        assert len(names) == len(set(names)), pairs
        assert dict(pairs)["db"] == "a" and "b.." not in dict(pairs).get("q", ""), pairs
        assert b";" not in heard.target.encode()


def test_03_labels_that_widen(server: Server, store: Recorder) -> None:
    """test_victoria.py sends these to a real VictoriaMetrics."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    widening = urlencode(
        [("extra_label", "db=b"), ("extra_filters", '{db="b"}'), ("extra_filters[]", '{db="b"}')]
    )
    for query in (f"{widening}&query=up", f"query=up&{widening}", widening.replace("=", "%3D")):
        server.request("GET", f"/v/api/v1/query?{query}", basic=ANN)
        server.request("POST", "/v/api/v1/query", query.encode(), form, ANN)
    server.request("POST", f"/v/influx/write?db=a&{widening}", b"m,db=b v=1", basic=ANN)
    assert len(store.heard) == 7
    widens = ("extra_label", "extra_filters", "extra_filters[]")
    for heard in store.heard:
        labels = [value for name, value in heard.pairs if name in widens]
        assert labels == ["db=a"]
        assert (
            b"extra_label=" not in heard.body
            and b"extra_filters" not in heard.body.split(b"%3D")[0]
        )


@pytest.mark.slow
def test_04_tokens(server: Server, store: Recorder) -> None:
    """test_tenant_tokens.py tests forms, times and audiences: g15 to g27."""
    pair = made.key("attack")
    claims = {"tenant_id": "a", "exp": int(time.time()) + 60}
    good = made.token(SECRET.encode(), claims, "HS256")
    assert server.request("GET", QUERY, None, {"Authorization": f"Bearer {good}"}).status == 200
    bad: list[str] = [
        made.token(None, claims, "none"),
        made.token(b"", claims, "HS256"),
        made.token(made.pem(pair).encode(), claims, "HS256"),
        made.token(pair, claims, "RS256"),
        made.token(SECRET.encode(), claims, "HS256", {"alg": "RS256"}),
        made.token(SECRET.encode(), claims | {"exp": -1}, "HS256"),
        made.token(SECRET.encode(), {"tenant_id": "a"}, "HS256"),
        made.token(SECRET.encode(), claims | {"tenant_id": ["a", 7]}, "HS256"),
        made.token(SECRET.encode(), claims | {"tenant_id": "../a"}, "HS256"),
        made.token(SECRET.encode(), claims | {"tenant_id": "a\r\nX-Scope-OrgID: b"}, "HS256"),
        "." * 3,
        good + "." + good,
    ]
    heard = len(store.heard)
    for text in bad:
        answer = server.request("GET", QUERY, None, {"Authorization": f"Bearer {text}"})
        assert answer.status == 401, text
        assert good not in answer.body.decode()
    assert len(store.heard) == heard
    # A shared secret has no `kid`, and a `kid` is never used as a path.
    kid = made.token(SECRET.encode(), claims, "HS256", {"kid": "../../../dev/null"})
    assert server.request("GET", QUERY, None, {"Authorization": f"Bearer {kid}"}).status == 200


@pytest.mark.slow
def test_05_logins_that_are_none(server: Server, store: Recorder) -> None:
    for value in (
        *("Basic", "Basic !", "Basic " + "A" * 10_000, "Bearer", "Bearer " + "x" * 10_000),
        *("Token ann", "Token ann:", "Digest x", "psx-" + "A" * 80, "Bearer a.b.c"),
    ):
        answer = server.request("GET", QUERY, None, {"Authorization": value})
        assert answer.status == 401, value
    two = [("Authorization", "Basic x"), ("Authorization", "Basic eA==")]
    assert server.request("GET", QUERY, None, two).status in (400, 401)
    assert store.heard == []


def test_06_no_answer_tells_which_users_exist(server: Server) -> None:
    unknown = server.request("GET", QUERY, basic=("nobody", "x"))
    wrong = server.request("GET", QUERY, basic=("ann", "x"))
    assert (unknown.status, unknown.body) == (wrong.status, wrong.body)
    # Responses do not reveal which databases exist. benchmarks/enumeration.py measures their times.
    foreign = server.request("GET", "/m/db/b/prometheus/api/v1/query", basic=ANN)
    missing = server.request("GET", "/m/db/x/prometheus/api/v1/query", basic=ANN)
    assert foreign.status == missing.status == 403
    assert foreign.body.replace(b" b", b" x") == missing.body


@pytest.mark.slow
def test_07_secrets_are_nowhere(server: Server, store: Recorder) -> None:
    """Searches the metrics for secrets. After all tests, all logs are searched too."""
    text = made.token(SECRET.encode(), {"tenant_id": "a", "exp": int(time.time()) + 60}, "HS256")
    server.request("GET", f"{QUERY}?u=ann&p=Ann-pw-1&token=x")
    server.request("GET", QUERY, None, {"X-Id-Token": text})
    server.request("GET", f"{QUERY}?u=ann&p=Wrong-pw-1")
    server.query("CREATE USER eve WITH PASSWORD 'Eve-pw-123'")
    page = server.request("GET", "/metrics").body.decode() + server.log()
    for secret in ("Ann-pw-1", "Wrong-pw-1", "Eve-pw-123", text, SECRET):
        assert secret not in page
    for heard in store.heard:
        everything = heard.target + str(heard.headers) + heard.body.decode()
        for secret in ("Ann-pw-1", "Eve-pw-123", text):
            assert secret not in everything


def test_08_requests_to_auth(server: Server) -> None:
    """test_forward_auth.py and test_other_proxies.py test each kind of proxy."""
    for path, headers in [
        ("/auth/nginx/mimir", {"X-Forwarded-Uri": QUERY, "X-Forwarded-Method": "GET"}),
        ("/auth/caddy/mimir?db=b", {"X-Original-URI": QUERY, "X-Original-Method": "GET"}),
        ("/auth/envoy/mimir/m/db/b/prometheus/api/v1/query", {}),
        ("/auth/envoy/influxdb1/query?q=SHOW+USERS", {}),
    ]:
        assert server.request("GET", path, None, headers, ANN).status == 403, path
    hidden = server.request("POST", "/auth/envoy/influxdb1/query", None, {}, ANN)
    assert hidden.status == 403


def test_09_tokens_of_other_issuers(serve: Callable[..., Server], tmp_path: Path) -> None:
    """Headgate has no browser login. test_issuers.py tests the names that tokens may claim."""
    assert not [name for name in ("login", "oauth", "session") if (tmp_path / name).exists()]
    server = serve().bootstrap()
    for path in ("/auth/google/login", "/signup"):
        assert server.request("GET", path, basic=ROOT).status == 404


def test_10_a_websocket_is_logged_in_first(server: Server, store: Recorder) -> None:
    """test_tail.py tests that a WebSocket is closed after its privilege is revoked."""
    offer = {
        "Connection": "Upgrade, X-Scope-OrgID",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    assert server.request("GET", QUERY, None, offer).status == 401
    assert store.heard == []
    # On other paths the Upgrade header is not forwarded.
    assert server.request("GET", QUERY, None, offer, ANN).status == 200
    assert not store.last.all("Upgrade") and not store.last.all("Sec-WebSocket-Accept")
