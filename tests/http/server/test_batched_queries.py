"""Requests of a batch are answered as requests that come alone by ASGI."""

import re
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from time import time

import pytest

from headgate_engine import SqliteStore
from headgate_server.auth.errors import Unauthenticated
from headgate_server.auth.shared_secret import SharedSecretVerifier, mint
from support.local_server import LocalServer
from support.raw_connections import connected, conversation, read_until
from support.servers import ROOT, Server
from support.waiting import poll_until

SECRET = "the secret of all tokens, of 32 bytes and more"
ANN = ("ann", "Ann-1")
_OWN = re.compile(rb"(?mi)^(x-)?request-id: [^\r]*\r\n")
_DATE = re.compile(rb"(?mi)^date: [^\r]*\r\n")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    store = tmp_path_factory.mktemp("at-once") / "users.db"
    server = LocalServer(store, (), {"HEADGATE_HTTP_SHARED_SECRET": SECRET}).start()
    server.bootstrap(
        "CREATE DATABASE db; CREATE DATABASE other; CREATE USER ann WITH PASSWORD 'Ann-1'",
        "GRANT READ ON db TO ann; CREATE USER \"b<&>\" WITH PASSWORD 'x'",
    )
    for login in (ROOT, ANN):
        assert server.query("SHOW DATABASES", login).status == 200
    yield server
    server.stop()


def basic(name: str, password: str) -> str:
    return "Authorization: Basic " + b64encode(f"{name}:{password}".encode()).decode()


AS_ROOT, AS_ANN = basic(*ROOT), basic(*ANN)
SHOW = "/query?q=SHOW+GRANTS+FOR+ann"
TOKEN = "Authorization: Bearer " + mint("root", SECRET, time() + 600)
REQUESTS: list[tuple[str, str, list[str]]] = [
    ("GET", SHOW, [AS_ROOT]),
    ("GET", SHOW, [TOKEN]),
    ("GET", SHOW, ["Authorization: Token root:Toor-1"]),
    ("POST", SHOW, [AS_ROOT]),
    ("GET", SHOW + "&u=root&p=Toor-1", []),
    ("GET", SHOW + "&pretty=true", [AS_ROOT]),
    ("GET", SHOW + "&epoch=ms&db=db&rp=x", [AS_ROOT]),
    ("GET", SHOW + "&chunked=true", [AS_ROOT]),
    ("GET", SHOW + "&async=true", [AS_ROOT]),
    ("GET", SHOW, [AS_ROOT, "Accept: application/csv"]),
    ("GET", SHOW, [AS_ROOT, "Accept: application/x-msgpack"]),
    ("GET", SHOW, [AS_ROOT, "Accept-Encoding: gzip"]),
    ("GET", SHOW, [AS_ROOT, "Origin: http://grafana"]),
    ("GET", SHOW, [AS_ROOT, "Connection: close"]),
    ("GET", SHOW, [AS_ROOT, AS_ROOT]),
    ("GET", SHOW, []),
    ("GET", SHOW, ["Authorization: Basic nonsense"]),
    ("GET", SHOW, [AS_ANN]),
    ("GET", "/query?q=SHOW+GRANTS+FOR+nobody", [AS_ROOT]),
    ("GET", "/query?q=SHOW+GRANTS+FOR+%22b%3C%26%3E%22", [AS_ROOT]),
    # The same statement as earlier, with small differences in the text.
    *[
        ("GET", path, [AS_ROOT])
        for path in (
            "/query?q=SHOW+GRANTS+FOR+root",
            "/query?q=SHOW+GRANTS+FOR+%22root%22",
            "/query?q=SHOW+GRANTS+FOR+%22select%22",
            "/query?q=SHOW+GRANTS+FOR+select",
            "/query?q=SHOW+GRANTS+FOR+1ann",
            "/query?q=SHOW+GRANTS+FOR+ann+",
            "/query?q=SHOW+GRANTS+FOR++ann",
            "/query?q=SHOW+GRANTS+FOR+ann--root",
            "/query?q=SHOW+GRANTS+FOR+verbose",
            "/query?q=SHOW+GRANTS+FOR+ann&q=SHOW+GRANTS+FOR+root",
            "/query?q=SHOW+GRANTS+FOR+ann&xq=SHOW+GRANTS+FOR+root",
            "/query?xq=SHOW+GRANTS+FOR+ann",
            "/query?pretty=true&q=SHOW+GRANTS+FOR+root&db=db",
            "/query?db=db&q=show+grants+for+ann;&epoch=ms",
            "/query?q=SHOW+USERS+FOR+ann",
        )
    ],
    ("GET", "/query?q=SHOW+GRANTS+FOR+ann%3B+SHOW+GRANTS+FOR+root", [AS_ROOT]),
    ("GET", "/query?q=SHOW+GRANTS+FOR+nobody%3B+SHOW+GRANTS+FOR+ann", [AS_ROOT]),
    ("GET", "/query?q=SHOW+GRANTS+FORR", [AS_ROOT]),
    ("GET", "/query?q=", [AS_ROOT]),
    ("GET", "/query", [AS_ROOT]),
    ("GET", "/query?" + "a=b&" * 1001, [AS_ROOT]),
    ("GET", "/query?db=db&q=SELECT+*+FROM+other..m", [AS_ANN]),
    ("GET", "/query?db=db&q=SELECT+*+FROM+other..m&pretty=true", [AS_ANN]),
    ("GET", "/query?db=db&q=SELECT+*+FROM+other..m", [AS_ANN, "Accept: text/csv"]),
    ("GET", "/query?db=db&q=SELECT+*+FROM+m", [AS_ANN]),
    ("GET", "/query?q=GRANT+READ+ON+db+TO+ann", [AS_ROOT]),
    ("POST", "/query?q=GRANT+READ+ON+nowhere+TO+ann", [AS_ROOT]),
    ("POST", "/query?q=GRANT+READ+ON+db+TO+ann", [AS_ANN]),
    ("POST", "/query?q=GRANT+READ+ON+db+TO+ann", [AS_ROOT, "Accept: application/csv"]),
    ("POST", "/query?q=GRANT+READ+ON+db+TO+ann&pretty=true", [AS_ROOT, "Origin: http://grafana"]),
    ("POST", "/query?q=REVOKE+READ+ON+db+FROM+nobody", [AS_ROOT, "Accept-Encoding: gzip"]),
    ("POST", "/query?q=GRANT+ALL+PRIVILEGES+TO+root", [AS_ROOT, "Connection: close"]),
    ("POST", "/query?q=GRANT+READ+ON+db+TO+ann&async=true", [AS_ROOT]),
    ("POST", "/query?q=GRANT+READ+ON+db+TO+ann%3B+SHOW+GRANTS+FOR+ann", [AS_ROOT]),
    ("GET", "/query?q=SHOW+DATABASES", [AS_ANN]),
    ("GET", "/ping", []),
    ("HEAD", "/ping", []),
    ("GET", "/ping?verbose=true", []),
    ("GET", "/ping", ["Accept: application/csv"]),
]


def answer(server: Server, method: str, path: str, lines: list[str], body: str = "") -> bytes:
    """To a request that ends the connection, without what is another's each time."""
    more = [] if "Connection: close" in lines else ["Connection: close"]
    head = "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *lines, *more, "", body])
    whole = conversation(server, head.encode())
    before, _, content = whole.partition(b"\r\n\r\n")
    own = _DATE.sub(b"date\r\n", _OWN.sub(b"", before + b"\r\n"))
    return b"\r\n".join([*sorted(own.lower().split(b"\r\n")), content])


@pytest.mark.parametrize(("method", "path", "lines"), REQUESTS)
def test_both_ways_say_the_same(server: Server, method: str, path: str, lines: list[str]) -> None:
    # A whole URL is not answered in a batch.
    for _ in range(3):  # the first time, the second, and from memory
        short = answer(server, method, path, lines)
        assert short == answer(server, method, f"http://x{path}", lines)


@pytest.mark.parametrize(("method", "path", "lines"), REQUESTS)
def test_a_form_is_answered_as_the_same_parameters_in_the_url(
    server: Server, method: str, path: str, lines: list[str]
) -> None:
    path, _, parameters = path.partition("?")
    if path != "/query" or "u=root" in parameters or "pretty" in parameters:
        return  # InfluxDB reads these in the URL alone
    form = "Content-Type: application/x-www-form-urlencoded"
    for _ in range(3):
        expected = answer(server, "POST", f"{path}?{parameters}", lines)
        size = f"Content-Length: {len(parameters)}"
        assert expected == answer(server, "POST", path, [*lines, form, size], parameters)


def test_answers_come_in_the_order_of_their_requests(server: Server) -> None:
    wanted = [f"GET {SHOW}", "GET /ping", f"POST {SHOW}", "GET /query?q=SHOW+USERS"] * 5
    sent = "".join(f"{one} HTTP/1.1\r\nHost: x\r\n{AS_ROOT}\r\n\r\n" for one in wanted)
    with closing(connected(server)) as line:
        line.sendall(sent.encode())
        line.sendall(
            f"GET /ping HTTP/1.1\r\nHost: x\r\nX-Request-Id: end\r\n{AS_ROOT}\r\n\r\n".encode()
        )
        heard = b""
        while b"x-request-id: end" not in heard:
            part = line.recv(65536)
            assert part, heard
            heard += part
    kinds = re.findall(rb"204 No Content|\"privilege\"|\"admin\"", heard)
    grants, users, nothing = b'"privilege"', b'"admin"', b"204 No Content"
    assert kinds == [grants, nothing, grants, users] * 5 + [nothing]


def test_what_is_asked_behind_a_change_sees_it(server: Server) -> None:
    """The requests are sent at once over one connection, and exceed one batch."""
    server.query("CREATE USER fred WITH PASSWORD 'x'")
    privileges = ["READ", "WRITE", "ALL"] * 8
    sent = "".join(
        f"{one} HTTP/1.1\r\nHost: x\r\n{AS_ROOT}\r\n\r\n"
        for privilege in privileges
        for one in (
            f"POST /query?q=GRANT+{privilege}+ON+db+TO+fred",
            "GET /query?q=SHOW+GRANTS+FOR+fred",
        )
    )
    last = "GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    heard = conversation(server, (sent + last).encode())
    assert heard.count(b"HTTP/1.1 200 OK") == 48
    shown = re.findall(rb'\["db","(\w+)(?: PRIVILEGES)?"\]', heard)
    assert [one.decode() for one in shown] == privileges


def test_a_login_counts_once_whichever_way_it_takes(server: Server) -> None:
    def accepted() -> float:
        text = server.request("GET", "/metrics").body.decode()
        found = re.search(
            r'headgate_authentications_total\{method="password",outcome="accepted"\} (\S+)', text
        )
        assert found is not None, text
        return float(found[1])

    before = accepted()
    for path in (SHOW, "/query?q=GRANT+READ+ON+db+TO+ann", "/query?q=SHOW+USERS"):
        for _ in range(3):
            assert b"200 ok" in answer(server, "POST", path, [AS_ROOT])
    assert accepted() - before == 9


def test_what_follows_the_last_answer_is_not_done(server: Server) -> None:
    """The server closes an HTTP/1.0 connection after its response, also with `keep-alive`."""
    assert server.query("CREATE DATABASE stays").status == 200
    change = f"POST /query?q=DROP+DATABASE+stays HTTP/1.1\r\nHost: x\r\n{AS_ROOT}\r\n\r\n"
    first = "GET /ping HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    assert conversation(server, (first + change).encode()).count(b"HTTP/1.1 ") == 1
    assert ["stays"] in server.query("SHOW DATABASES").rows()


def test_a_request_in_parts_is_answered_when_it_is_whole(server: Server) -> None:
    sent = f"GET {SHOW} HTTP/1.1\r\nHost: x\r\n{AS_ROOT}\r\n\r\n".encode()
    with closing(connected(server)) as line:
        for byte in sent[:-1]:
            line.sendall(bytes([byte]))
        line.sendall(sent[-1:])
        read_until(line, b'"privilege"')


def test_every_refusal_is_recorded_also_of_what_is_remembered(server: Server) -> None:
    store = SqliteStore(server.store)
    path = "/query?db=db&q=SELECT+*+FROM+other..counted"

    def count() -> int:
        return sum(one.count for one in store.audit(limit=10_000) if "counted" in one.statement)

    for _ in range(7):
        assert answer(server, "GET", path, [AS_ANN]).count(b"403") >= 1
    poll_until(lambda: count() == 7, f"not all are recorded, but {count()}")
    store.close()


def test_what_is_remembered_ends_with_the_right(server: Server) -> None:
    path = "/query?q=SHOW+GRANTS+FOR+root"
    assert server.query("CREATE USER eve WITH PASSWORD 'Eve-1' WITH ALL PRIVILEGES").status == 200
    login = basic("eve", "Eve-1")
    for _ in range(3):
        assert b"200 ok" in answer(server, "GET", path, [login])
    assert server.query("REVOKE ALL PRIVILEGES FROM eve").status == 200
    assert b"403 forbidden" in answer(server, "GET", path, [login])
    assert server.query("GRANT ALL PRIVILEGES TO eve").status == 200
    assert b"200 ok" in answer(server, "GET", path, [login])
    assert server.query("SET PASSWORD FOR eve = 'Eve-2'").status == 200
    assert b"401 unauthorized" in answer(server, "GET", path, [login])


def test_csv_that_is_asked_for_again_is_as_it_was(server: Server) -> None:
    server.query("CREATE USER carl WITH PASSWORD 'x'")
    for privilege in ("READ", "WRITE") * 2:
        server.query(f"GRANT {privilege} ON db TO carl")
        said = answer(server, "GET", "/query?q=SHOW+GRANTS+FOR+carl", [AS_ROOT, "Accept: text/csv"])
        assert said.endswith(f"\r\nname,tags,database,privilege\n,,db,{privilege}\n".encode())


@pytest.mark.slow
def test_what_comes_together_is_answered_each_for_itself(server: Server) -> None:
    server.query("CREATE USER dora WITH PASSWORD 'x'; GRANT WRITE ON other TO dora")
    wanted = {
        f"GET {SHOW}": b'["db","READ"]',
        "GET /query?q=SHOW+GRANTS+FOR+dora": b'["other","WRITE"]',
        "GET /query?q=SHOW+GRANTS+FOR+nobody": b'"error":"user not found"',
        "GET /query?q=SHOW+GRANTS+FORR": b" 400 ",
        "GET /query?q=SHOW+USERS": b'"admin"',
        "GET /query?db=%22&q=SHOW+GRANTS+FOR+dora": b'["other","WRITE"]',
        "GET /ping": b" 204 ",
    }
    with ExitStack() as stack:
        lines = [
            (stack.enter_context(closing(connected(server))), path, answer)
            for path, answer in wanted.items()
            for _ in range(5)
        ]
        for _ in range(4):
            for line, path, _ in lines:
                line.sendall(f"{path} HTTP/1.1\r\nHost: x\r\n{AS_ROOT}\r\n\r\n".encode())
            for line, _, answer in lines:
                read_until(line, answer)


def test_a_token_that_is_known_is_good_only_in_its_time(tmp_path: Path) -> None:
    now = 1000.0
    bearers = SharedSecretVerifier((SECRET,), lambda: now)
    token = mint("ann", SECRET, 1060)
    assert bearers.verify(token)[0] == bearers.verify(token)[0] == "ann"
    now = 1062.0
    with pytest.raises(Unauthenticated, match="expired"):
        bearers.verify(token)
    now = 1000.0
    with pytest.raises(Unauthenticated, match="signature"):
        bearers.verify(mint("ann", SECRET + "!", 1060))
    kept = [vars(one) for one in vars(bearers).values() if hasattr(one, "put")]
    assert kept and token not in repr(vars(bearers)) + repr(kept)
