"""/query on a real server: kinds of credentials, statuses, texts, headers."""

import json
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from urllib.parse import urlencode

import jwt
import pytest

from support.servers import ROOT, Server

SECRET = "s3cr3t!" * 10


def basic(pair: str) -> str:
    return "Basic " + b64encode(pair.encode()).decode()


def bearer(secret: str = SECRET, algorithm: str = "HS256", **claims: object) -> str:
    content = {"username": "todd", "exp": int(time.time()) + 600} | claims
    content = {name: value for name, value in content.items() if value is not None}
    return "Bearer " + jwt.encode(content, secret, algorithm)


@pytest.fixture
def todd(serve: Callable[..., Server]) -> Server:
    """A server with a shared secret, the administrator ROOT, and todd with READ on db."""
    return serve("--realm", "the realm", HEADGATE_HTTP_SHARED_SECRET=SECRET).bootstrap(
        "CREATE DATABASE db; CREATE USER todd WITH PASSWORD 't:d'; GRANT READ ON db TO todd"
    )


@pytest.mark.slow
def test_every_way_in_is_taken_or_refused(todd: Server) -> None:
    unreadable = "unable to parse authentication credentials"
    now = int(time.time())
    cases: list[tuple[dict[str, str], str, int, str]] = [
        ({}, "", 401, unreadable),
        ({"u": "todd", "p": "t:d"}, "", 200, ""),
        ({"u": "todd", "p": "x"}, basic("todd:t:d"), 401, "authorization failed"),
        ({"u": "todd", "p": "x"}, "", 401, "authorization failed"),
        ({"u": "todd"}, "", 401, unreadable),
        ({"u": "todd"}, basic("todd:t:d"), 200, ""),
        ({"U": "todd", "P": "t:d"}, "", 401, unreadable),
        ({}, basic("todd:t:d"), 200, ""),
        ({}, basic("todd:t:d").replace("Basic", "bAsIc"), 200, ""),
        ({}, basic("todd:x"), 401, "authorization failed"),
        ({}, basic("nobody:t:d"), 401, "authorization failed"),
        ({}, basic("Todd:t:d"), 401, "authorization failed"),
        ({}, basic(":x"), 401, "username required"),
        ({}, basic("todd"), 401, unreadable),
        ({}, "Basic !!!!", 401, unreadable),
        ({}, "Basic", 401, unreadable),
        ({}, "Basic /G7vOnDk", 401, "authorization failed"),
        ({}, "Digest x", 401, unreadable),
        ({}, "Token todd:t:d", 200, ""),
        ({}, "Token todd:x", 401, "authorization failed"),
        ({}, "token todd:t:d", 401, unreadable),
        ({}, bearer(), 200, ""),
        ({}, bearer(algorithm="HS384"), 200, ""),
        ({}, bearer(algorithm="HS512"), 200, ""),
        ({}, bearer(exp=now + 600.5), 200, ""),
        ({}, bearer(exp=now - 60), 401, "Token is expired"),
        ({}, bearer(exp=0.5), 401, "Token is expired"),
        ({}, bearer(exp=None), 401, "token expiration required"),
        ({}, bearer(nbf=now + 60), 401, "Token is not valid yet"),
        ({}, bearer(iat=now + 60), 401, "Token used before issued"),
        ({}, bearer(secret="x" * 32), 401, "signature is invalid"),
        ({}, bearer(username=None), 401, "username in token must be a string"),
        ({}, bearer(username=""), 401, "token must contain a username"),
        ({}, bearer(username="nobody"), 401, "user not found"),
        ({}, bearer().replace("Bearer", "bearer"), 401, unreadable),
        ({}, "Bearer x", 401, "token contains an invalid number of segments"),
        ({}, "Bearer a.b.c", 401, "token is malformed: "),
        ({}, "Bearer " + "a" * 20_000, 401, "token is malformed: token too long"),
        (
            {},
            "Bearer " + jwt.encode({"username": "root", "exp": now + 60}, "", "none"),
            401,
            "unexpected signing method: none",
        ),
    ]
    for url, header, status, error in cases:
        query = urlencode({"q": "SHOW DATABASES"} | url)
        headers = {"Authorization": header} if header else {}
        answer = todd.request("GET", f"/query?{query}", headers=headers)
        assert (answer.status, answer.error[: len(error) or None]) == (status, error), (url, header)
        if status == 401:
            assert answer.headers["WWW-Authenticate"] == 'Basic realm="the realm"'
            assert answer.headers["X-Influxdb-Error"] is None
        else:
            assert answer.rows() == [["db"]]


def test_a_token_names_a_user_and_carries_no_rights(todd: Server) -> None:
    def status() -> int:
        headers = {"Authorization": bearer()}
        return todd.request("GET", "/query?q=SHOW+USERS", headers=headers).status

    assert status() == 403
    todd.query("GRANT ALL TO todd; SET PASSWORD FOR todd = 'new'")
    assert status() == 200
    todd.query("DROP USER todd")
    assert status() == 401


def test_a_refusal_is_influxdbs_to_the_letter(todd: Server) -> None:
    answer = todd.query("GRANT ALL ON db TO todd", ("todd", "t:d"))
    text = (
        "error authorizing query: todd not authorized to execute statement"
        " 'GRANT ALL PRIVILEGES ON db TO todd', requires admin privilege"
    )
    assert answer.status == 403
    assert answer.body == f'{{"error":"{text}"}}\n'.encode()
    assert answer.headers["X-Influxdb-Error"] == text
    assert answer.headers["WWW-Authenticate"] is None
    answer = todd.query("FOO")
    assert answer.status == 400
    assert answer.error.startswith("error parsing query: found FOO, expected SELECT, DELETE")
    assert todd.query("  ").error == 'missing required parameter "q"'


def test_401_comes_before_everything_else(todd: Server) -> None:
    for text in ("", "FOO", "SHOW USERS"):
        assert todd.query(text, None).status == 401
    assert todd.request("POST", "/write").status == 401


def test_a_get_that_changes_something_is_done_and_warned_of(todd: Server) -> None:
    answer = todd.request("GET", "/query?q=DROP+USER+todd", basic=ROOT)
    assert answer.json == {
        "results": [
            {
                "statement_id": 0,
                "messages": [
                    {
                        "level": "warning",
                        "text": "deprecated use of 'DROP USER todd' in a read only context,"
                        " please use a POST request instead",
                    }
                ],
            }
        ]
    }
    assert todd.request("GET", "/query?q=DROP+USER+todd", basic=ROOT).error == "user not found"


@pytest.mark.parametrize(
    ("url", "body", "kind", "rows"),
    [
        ("", "q=SHOW+USERS", "application/x-www-form-urlencoded", "root"),
        ("?q=SHOW+DATABASES", "q=SHOW+USERS", "application/x-www-form-urlencoded", "root"),
        ("?q=SHOW+USERS", "", "", "root"),
        ("?q=SHOW+USERS", "q=", "application/x-www-form-urlencoded", ""),
        ("", "q=SHOW+USERS", "text/plain", ""),
        ("", "q=SHOW+USERS", "APPLICATION/X-WWW-FORM-URLENCODED; charset=utf-8", "root"),
        ("", "q=SHOW%2", "application/x-www-form-urlencoded", ""),
        ("", "q=SHOW%20USERS;x", "application/x-www-form-urlencoded", ""),
        ("?q=SHOW+USERS", "broken", "multipart/form-data", "root"),
        (
            "",
            '--b\r\nContent-Disposition: form-data; name="q"\r\n\r\nSHOW USERS\r\n--b--\r\n',
            "multipart/form-data; boundary=b",
            "root",
        ),
        (
            "",
            '--b\r\nContent-Disposition: form-data; name="q"; filename="f"\r\n\r\n'
            "SHOW USERS\r\n--b--\r\n",
            "multipart/form-data; boundary=b",
            "root",
        ),
    ],
)
def test_q_is_found_where_go_finds_it(
    todd: Server, url: str, body: str, kind: str, rows: str
) -> None:
    headers = {"Content-Type": kind} if kind else {}
    answer = todd.request("POST", "/query" + url, body.encode(), headers, ROOT)
    if rows:
        assert answer.rows()[0][0] == rows
    else:
        assert answer.error == 'missing required parameter "q"'


def test_answers_have_the_form_that_is_asked_for(todd: Server) -> None:
    def text(accept: str = "*/*", statement: str = "SHOW DATABASES", extra: str = "") -> str:
        query = urlencode({"q": statement})
        answer = todd.request("GET", f"/query?{query}{extra}", None, {"Accept": accept}, ROOT)
        return answer.body.decode()

    row = '{"statement_id":0,"series":[{"name":"databases","columns":["name"],"values":[["db"]]}]}'
    assert text() == f'{{"results":[{row}]}}\n'
    assert text(extra="&pretty=true").startswith('{\n    "results": [\n        {\n')
    assert text(extra="&chunked=true") == f'{{"results":[{row}]}}\n'
    assert text("text/csv") == "name,tags,name\ndatabases,,db\n"
    assert text("text/csv", "DROP USER nobody") == "error\nuser not found\n"
    assert text("text/csv", "FOO").startswith('error\n"error parsing query: found FOO, ')
    assert text(statement=";") == "{}\n"
    todd.query("CREATE USER \"<&>\u2028\" WITH PASSWORD 'x'")
    assert r'"\u003c\u0026\u003e\u2028"' in text(statement="SHOW USERS")


def test_what_every_answer_carries(todd: Server) -> None:
    answer = todd.request("GET", "/ping", headers={"X-Request-Id": "abc", "Origin": "http://o"})
    assert answer.status == 204 and answer.body == b""
    assert answer.headers["X-Influxdb-Build"] == "Headgate"
    assert answer.headers["X-Influxdb-Version"].startswith("1.8")
    assert answer.headers["Request-Id"] == answer.headers["X-Request-Id"] == "abc"
    assert answer.headers["Access-Control-Allow-Origin"] == "http://o"
    assert len(todd.query("FOO").headers["Request-Id"]) == 36


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        *(("GET", path, 404) for path in ("/", "/query/", "//query", "/%71uery", "/debug/vars")),
        *((method, "/query", 405) for method in ("HEAD", "PUT", "DELETE")),
        ("GET", "/write", 405),
        ("POST", "/ping", 405),
        ("OPTIONS", "/query", 200),
        ("HEAD", "/ping", 204),
    ],
)
def test_paths_and_methods_are_exact(server: Server, method: str, path: str, status: int) -> None:
    answer = server.request(method, path)
    assert answer.status == status
    assert ("Allow" in answer.headers) == (status == 405)


def test_a_new_server_asks_for_an_administrator(server: Server) -> None:
    reason = "error authorizing query: create admin user first or disable authentication"
    for login in (None, ("root", "x")):
        answer = server.query("SHOW USERS", login)
        assert (answer.status, answer.error) == (403, reason)
    assert server.query("CREATE USER a WITH PASSWORD 'x'", None).status == 403
    assert server.request("GET", "/api/whoami").status == 401
    server.bootstrap()
    assert server.query("SHOW USERS", None).status == 401
    assert server.query("SHOW USERS").rows() == [["root", True]]


def test_the_last_administrator_stays(todd: Server) -> None:
    for text in ("DROP USER root", "REVOKE ALL FROM root"):
        assert todd.query(text).error == "cannot remove the last admin user"


def test_whoami_returns_the_user_and_its_privileges(todd: Server) -> None:
    todd.query("CREATE DATABASE other; REVOKE ALL ON other FROM todd")
    answer = todd.request("GET", "/api/whoami", basic=("todd", "t:d"))
    assert answer.json == {
        "name": "todd",
        "admin": False,
        "method": "password",
        "grants": {"db": "READ"},
    }
    answer = todd.request("GET", "/api/whoami", headers={"Authorization": bearer(username="root")})
    assert answer.json == {"name": "root", "admin": True, "method": "shared-secret", "grants": {}}
    assert todd.request("GET", "/api/whoami").status == 401
    assert todd.request("GET", "/api/whoami", basic=("todd", "x")).status == 401


def test_an_authorized_write_without_a_store_is_refused(todd: Server) -> None:
    todd.query("GRANT WRITE ON db TO todd")

    def write(database: str, login: tuple[str, str]) -> tuple[int, str]:
        url = "/write?" + urlencode({"db": database})
        answer = todd.request("POST", url, b"cpu v=1", basic=login)
        return answer.status, answer.error

    nowhere = 501, "no upstream store is configured: data cannot be written"
    denied = '"todd" user is not authorized to write to database "nope"'
    assert write("db", ("todd", "t:d")) == nowhere
    assert write("db", ROOT) == nowhere
    assert write("nope", ("todd", "t:d")) == (403, denied)
    assert write("nope", ROOT) == (404, 'database not found: "nope"')
    assert write("", ROOT) == (400, "database is required")
    todd.query("REVOKE WRITE ON db FROM todd")
    assert write("db", ("todd", "t:d"))[0] == 403


def test_a_body_may_be_too_large(serve: Callable[..., Server]) -> None:
    server = serve("--max-body-size", "100", HEADGATE_HTTP_MAX_QUERY_SIZE="1000")
    server.bootstrap("CREATE DATABASE db")
    assert server.query("SHOW USERS -- " + "x" * 100).status == 200
    assert server.query("SHOW USERS -- " + "x" * 1000).status == 413
    answer = server.request("POST", "/write?db=db", b"x" * 101, basic=ROOT)
    assert (answer.status, answer.error) == (413, "Request Entity Too Large")


def test_without_authentication_everything_is_open(serve: Callable[..., Server]) -> None:
    server = serve("--no-auth")
    for login in (None, ("nobody", "x")):
        text = "CREATE USER todd WITH PASSWORD 'x'; SHOW USERS; DROP USER todd"
        answer = server.query(text, login)
        assert answer.status == 200 and answer.rows(1) == [["todd", False]]
    assert server.request("GET", "/api/whoami").json["admin"] is True


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Basic \xff\xfe"},
        {"Authorization": "Token \xff:\xfe"},
        {"Authorization": "Bearer \xff.\xfe.\xfd"},
        {"Authorization": "Bearer e30.e30.e30"},
    ],
)
def test_odd_credentials_are_never_a_fault_of_the_server(
    todd: Server, headers: dict[str, str]
) -> None:
    assert todd.request("GET", "/query?q=SHOW+USERS", headers=headers).status == 401


@pytest.mark.parametrize(
    "query",
    ["q=%FF", "q=%00", "q='%ED%A0%80", "q=SHOW%20USERS&db=%FF%FE", "q=DROP%20USER%20%22%FF%22"],
)
def test_odd_bytes_are_never_a_fault_of_the_server(todd: Server, query: str) -> None:
    assert todd.request("GET", f"/query?{query}", basic=ROOT).status in (200, 400)
    assert todd.request("POST", f"/write?{query}&db=%FF", basic=ROOT).status in (404, 403)
    assert "Traceback" not in todd.log()


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ('{"n": {"identifier": "a b"}, "p": "it\'s"}', ""),
        ('{"n": {"ident": "plain"}, "p": ""} and what stands behind', ""),
        ('{"n": 1.5, "p": "x"}', "error parsing query: found 1.5, expected identifier"),
        ('{"n": 1e5}', 'error parsing json value: strconv.ParseInt: parsing "1e5": invalid syntax'),
        (
            '{"n": 9223372036854775808}',
            'error parsing json value: strconv.ParseInt: parsing "9223372036854775808":'
            " value out of range",
        ),
        ("[1]", "error parsing query parameters: json: cannot unmarshal array into Go value"),
        ("nonsense", "invalid character 'o' in literal null (expecting 'u')"),
        ('{"n":', "error parsing query parameters: unexpected EOF"),
        ('{"n": "x', "error parsing query parameters: unexpected EOF"),
        ('{"n": NaN}', "invalid character 'N' looking for beginning of value"),
        ("null", "error parsing query: found $n, expected identifier"),
        ("[" * 100_000, "error parsing query parameters: exceeded max depth"),
    ],
)
def test_parameters_are_bound_or_refused(server: Server, params: str, error: str) -> None:
    server.bootstrap()
    answer = server.query("CREATE USER $n WITH PASSWORD $p", params=params)
    assert answer.status == (400 if error else 200)
    assert error in answer.error and bool(error) == bool(answer.error)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "status"), [(900_000, 200), (1_100_000, 413)])
def test_statements_may_be_uploaded_as_a_field_or_a_file(
    server: Server, size: int, status: int
) -> None:
    server.bootstrap()
    text = "SHOW DATABASES " + " " * size
    for kind in ("", '; filename="statements"'):
        body = f'--b\r\nContent-Disposition: form-data; name="q"{kind}\r\n\r\n{text}\r\n--b--\r\n'
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        answer = server.request("POST", "/query", body.encode(), headers, ROOT)
        assert answer.status == status and bool(answer.error) == (status != 200), answer.body
    assert server.query(text).status == status
    assert server.query("SHOW USERS", ROOT, params=json.dumps({"a": text})).status == status


@pytest.mark.slow
def test_a_query_of_many_statements_delays_no_other(server: Server) -> None:
    server.bootstrap()
    many = ";".join(["SHOW GRANTS FOR root"] * 3_000)
    slow: list[int] = []
    thread = threading.Thread(target=lambda: slow.append(server.query(many).status))
    thread.start()
    answered = 0
    while thread.is_alive():
        assert server.query("SHOW GRANTS FOR root").status == 200
        answered += thread.is_alive()
    thread.join()
    assert slow == [200] and answered > 0
