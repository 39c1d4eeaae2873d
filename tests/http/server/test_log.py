"""The access log: one line per request, as text or JSON, without secrets."""

import json
import re
import time
from base64 import b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import jwt
import pytest

from support.account_requests import make_key, send, sign_in
from support.servers import ROOT, Server
from support.waiting import poll_until

SECRET = "the-shared-secret-0123456789abcdef"


def lines(server: Server) -> list[str]:
    """Returns the log lines of requests, without the tests' own requests to /ping."""
    found = [line for line in server.log().splitlines() if " headgate: " not in line]
    return [line for line in found if "/ping" not in line]


def entries(server: Server, count: int) -> list[dict[str, Any]]:
    """Waits until *count* requests are in the JSON log, and returns all requests in it."""
    poll_until(lambda: len(requests(server)) >= count, "they are written")
    return requests(server)


def requests(server: Server) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(server) if '"request_id"' in line]


def test_a_line_has_user_statement_and_outcome(serve: Callable[..., Server]) -> None:
    server = serve(HEADGATE_HTTP_LOG_FORMAT="json").bootstrap("CREATE DATABASE db")
    server.request(
        "POST",
        "/query?db=db",
        b"q=CREATE+USER+todd+WITH+PASSWORD+%27s3cret%27;SHOW+USERS".replace(b";", b"%3B"),
        {"Content-Type": "application/x-www-form-urlencoded", "X-Request-Id": "my-id"},
        ROOT,
    )
    *_, entry = entries(server, 3)
    assert abs(time.time() - time.mktime(time.strptime(entry["time"][:10], "%Y-%m-%d"))) < 2e5
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry.pop("time"))
    assert 0 < entry.pop("seconds") < 20
    assert entry.pop("bytes") > 50
    assert entry == {
        "level": "info",
        "message": "request",
        "client": "127.0.0.1",
        "user": "root",
        "login": "password",
        "method": "POST",
        "route": "/query",
        "status": 200,
        "request_id": "my-id",
        "trace_id": "",
        "database": "db",
        "statements": "CREATE USER todd WITH PASSWORD [REDACTED]; SHOW USERS",
        "error": "",
    }


def test_a_line_names_the_key_or_the_session(serve: Callable[..., Server]) -> None:
    server = serve(HEADGATE_HTTP_LOG_FORMAT="json").bootstrap()
    key = make_key(server, {"name": "eu"})
    cookie = sign_in(server, "root", ROOT[1])
    send(server, "GET", "/api/whoami", login=key["key"])
    send(server, "GET", "/api/whoami", cookie=cookie)
    found = [(entry["user"], entry["login"]) for entry in entries(server, 5)[-2:]]
    assert found == [("root", f"key {key['id']}"), ("root", "session 1")]
    assert key["key"] not in server.log() and cookie not in server.log()


def test_refusals_are_written_too(serve: Callable[..., Server]) -> None:
    server = serve(HEADGATE_HTTP_LOG_FORMAT="json").bootstrap(
        "CREATE USER todd WITH PASSWORD 's3cret'"
    )
    server.query("SHOW USERS", ("todd", "wrong-1"))
    server.query("SHOW USERS", ("todd", "s3cret"))
    server.query("SHOW USRS s3cret-2")
    server.query("SHOW USERS; DROP USER nobody; SHOW USERS")
    server.request("GET", "/no/such/place?with=secrets")
    server.request("GET", "/write")
    found = [
        (entry["route"], entry["status"], entry["user"], entry["statements"], entry["error"])
        for entry in entries(server, 8)[2:]
    ]
    assert found == [
        ("/query", 401, "todd", "", "authorization failed"),
        (
            *("/query", 403, "todd", "SHOW USERS"),
            "todd not authorized to execute statement 'SHOW USERS', requires admin privilege",
        ),
        ("/query", 400, "root", "", "query does not parse"),
        (
            *("/query", 200, "root", "SHOW USERS; DROP USER nobody; SHOW USERS"),
            "user not found",
        ),
        ("other", 404, "", "", ""),
        ("/write", 405, "", "", ""),
    ]


def test_text_is_pairs_that_a_client_cannot_forge(server: Server) -> None:
    server.bootstrap("CREATE USER \"a\\nb status=200\" WITH PASSWORD 's3cret'")
    server.query("SHOW DATABASES", ("a\nb status=200", "s3cret"), db="x\u2028y \x1b[31m")
    poll_until(lambda: 'user="a' in server.log(), "it is written")
    (line,) = [line for line in lines(server) if 'user="a' in line]
    assert re.fullmatch(
        r"time=\S+Z client=127\.0\.0\.1 user=\"a\\nb status=200\" login=password method=POST"
        r" route=/query status=200 bytes=\d+ seconds=\S+ request_id=[0-9a-f-]{36}"
        r' database="x\\u2028y \\u001b\[31m" statements="SHOW DATABASES"',
        line,
    )


def test_what_goes_wrong_behind_an_answer_is_written(server: Server) -> None:
    server.bootstrap()
    path = "/query?async=true&q=SHOW+USERS%3BDROP+USER+nobody"
    assert server.request("POST", path, b"", {"X-Request-Id": "my-id"}, ROOT).status == 204
    line = 'headgate: asynchronous query failed request_id=my-id error="user not found"'
    poll_until(lambda: line in server.log(), "it is written")


@pytest.mark.slow
def test_a_query_of_any_length_is_one_short_line(serve: Callable[..., Server]) -> None:
    server = serve(HEADGATE_HTTP_LOG_FORMAT="json").bootstrap()
    server.query(";".join(["SHOW USERS"] * 1000))
    server.query(f'SHOW GRANTS FOR "{"x" * 90_000}"')
    many, long = (entry["statements"] for entry in entries(server, 3)[1:])
    assert many.startswith("SHOW USERS; SHOW USERS; ") and many.endswith("... and 900 more")
    assert len(long) == 1000


@pytest.mark.slow
@pytest.mark.parametrize("format", ["text", "json"])
def test_no_secret_is_written_however_it_comes(serve: Callable[..., Server], format: str) -> None:
    server = serve(HEADGATE_HTTP_LOG_FORMAT=format, HEADGATE_HTTP_SHARED_SECRET=SECRET).bootstrap()
    token = jwt.encode({"username": "root", "exp": time.time() + 60}, SECRET, "HS256")
    forged = jwt.encode({"username": "root", "exp": time.time() + 60}, "x" * 40, "HS256")
    secret = "hunter2-hunter2"
    texts = [
        f"CREATE USER a WITH PASSWORD '{secret}'",
        f"CREATE USER b WITH PASSWORD'{secret}' WITH ALL PRIVILEGES",
        f"SET PASSWORD FOR root='{secret}' -- {secret}",
        f"SET PASSWORD FOR root = '{secret}",
        f'CREATE USER c WITH PASSWORD "{secret}"',
        f"SET/* {secret} */PASSWORD FOR \"x=y\" = '{secret}'",
        f"CREATE USER d WITH PASWORD '{secret}'",
        f"SHOW DATABASES; {secret}",
    ]
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for text in texts:
        for login in (f"u=root&p={ROOT[1]}", f"u=root&p={secret}", ""):
            for query in (f"q={quote(text)}", f"Q={quote(text)}&P={secret}"):
                server.request("GET", f"/query?{login}&{query}")
                server.request("POST", f"/query?{login}", query.encode(), form)
                server.request("POST", f"/query?{login}&p={secret}", query.encode(), form)
    bound = quote(json.dumps({"p": secret}))
    login = f"u=root&p={ROOT[1]}"
    server.request("GET", f"/query?{login}&q=SET+PASSWORD+FOR+root+=+$p&params={bound}")
    basic = "Basic " + b64encode(f"root:{secret}".encode()).decode()
    for value in (f"Bearer {token}", f"Bearer {forged}", f"Token root:{secret}", basic, secret):
        server.request("GET", "/query?q=SHOW+USERS", None, {"Authorization": value})
    server.request("GET", f"/{secret}/query")
    server.request("GET", "/" + secret)
    server.request(secret.upper(), "/query")
    server.request("POST", f"/write?u=root&p={secret}&db=x", secret.encode())
    poll_until(lambda: "route=/write" in server.log() or '"/write"' in server.log(), "written")
    log = server.log()
    for hidden in (secret, secret.upper(), ROOT[1], SECRET, token, forged, basic[6:], token[-43:]):
        assert hidden not in log
    assert "[REDACTED]" in log


@pytest.mark.parametrize(
    ("header", "trace"),
    [
        (
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "0af7651916cd43dd8448eb211c80319c",
        ),
        ("00-" + "0" * 32 + "-b7ad6b7169203331-01", ""),
        ("made up", ""),
    ],
)
def test_a_line_has_the_id_of_the_clients_trace(
    serve: Callable[..., Server], header: str, trace: str
) -> None:
    server = serve(HEADGATE_HTTP_LOG_FORMAT="json")
    server.request("GET", "/health", headers={"traceparent": header})
    (entry,) = entries(server, 1)
    assert entry["trace_id"] == trace


def test_a_failed_login_names_the_user_if_there_is_one(serve: Callable[..., Server]) -> None:
    server = serve(HEADGATE_HTTP_LOG_FORMAT="json").bootstrap()
    server.query("SHOW USERS", ("root", "wrong-1"))
    server.query("SHOW USERS", ("my-password", "wrong-1"))
    *_, known, unknown = entries(server, 3)
    assert (known["status"], known["user"], known["login"]) == (401, "root", "")
    assert (unknown["status"], unknown["user"]) == (401, "")
