"""/write and /api/v2/write: privileges, targets, size limits and compression."""

import gzip
from collections.abc import Callable
from urllib.parse import quote

import pytest

from support.servers import ROOT, Server

TODD, WRITER = ("todd", "s3cret-1"), ("writer", "s3cret-2")
POINT = b"cpu value=1 1\n"
NOWHERE = "no upstream store is configured: data cannot be written"


def pack(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)  # mtime=0: the bytes are part of the names of tests


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    return serve("--max-body-size", "1000").bootstrap(
        "CREATE DATABASE db; CREATE DATABASE \"a b\"; CREATE USER todd WITH PASSWORD 's3cret-1';"
        "CREATE USER writer WITH PASSWORD 's3cret-2'; GRANT READ ON db TO todd;"
        'GRANT WRITE ON db TO writer; GRANT WRITE ON "a b" TO writer'
    )


FAULTLESS: list[tuple[str, tuple[str, str] | None, int, str]] = [
    ("/write?db=db", None, 401, "unable to parse authentication credentials"),
    ("/write?db=db", TODD, 403, '"todd" user is not authorized to write to database "db"'),
    ("/write?db=no", TODD, 403, '"todd" user is not authorized to write to database "no"'),
    ("/write?db=no", WRITER, 403, '"writer" user is not authorized to write to database "no"'),
    ("/write?db=no", ROOT, 404, 'database not found: "no"'),
    ("/write", WRITER, 400, "database is required"),
    ("/write?db=db&precision=x", WRITER, 400, 'invalid precision "x" (use n, u, ms, s, m or h)'),
    ("/write?db=db&precision=ns&rp=autogen&consistency=all", WRITER, 501, NOWHERE),
    ("/write?db=db", ROOT, 501, NOWHERE),
    ("/api/v2/write?bucket=db", None, 401, "unable to parse authentication credentials"),
    ("/api/v2/write?bucket=db", TODD, 403, '"todd" user is not authorized to write to database'),
    ("/api/v2/write?bucket=db/autogen&precision=us&org=x", WRITER, 501, NOWHERE),
    ("/api/v2/write?bucket=db", WRITER, 501, NOWHERE),
    ("/api/v2/write?bucket=a%20b/autogen", WRITER, 501, NOWHERE),
    ("/api/v2/write?bucket=no/autogen", ROOT, 404, 'database not found: "no"'),
    ("/api/v2/write?bucket=/autogen", ROOT, 404, 'bucket name "/autogen" is in db/rp form but'),
    ("/api/v2/write", ROOT, 404, 'bucket name "" is missing a slash; not in'),
    (
        "/api/v2/write?bucket=db&precision=h",
        ROOT,
        400,
        'invalid precision "h" (use ns, us, ms or s)',
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("packing", ["plain", "gzip"])
def test_which_user_may_write_where(server: Server, packing: str) -> None:
    for path, login, status, error in FAULTLESS:
        body = POINT if packing == "plain" else pack(POINT)
        headers = {"Content-Encoding": "gzip"} if packing == "gzip" else {}
        answer = server.request("POST", path, body, headers, login)
        assert (answer.status, answer.error[: len(error)]) == (status, error), path


def test_clients_of_influxdb_2_log_in_with_a_token_of_name_and_password(server: Server) -> None:
    path = "/api/v2/write?org=ignored&bucket=" + quote("db/autogen", safe="")
    for token, status in (("writer:s3cret-2", 501), ("todd:s3cret-1", 403), ("todd:x", 401)):
        answer = server.request("POST", path, POINT, {"Authorization": f"Token {token}"})
        assert answer.status == status


@pytest.mark.parametrize(
    ("body", "packed", "login", "status", "error"),
    [
        (b"x" * 1000, False, WRITER, 501, NOWHERE),
        (b"x" * 1001, False, WRITER, 413, "Request Entity Too Large"),
        (pack(b"x" * 1000), True, WRITER, 501, NOWHERE),
        (pack(b"x" * 100_000), True, WRITER, 413, "Request Entity Too Large"),
        (b"x" * 1001, False, TODD, 403, '"todd" user is not authorized'),
        (POINT, True, WRITER, 400, "gzip: invalid data"),
        (pack(POINT)[:-3], True, WRITER, 400, "gzip: unexpected EOF"),
        (b"", True, WRITER, 400, "gzip: unexpected EOF"),
        (b"", False, WRITER, 501, NOWHERE),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_how_much_may_be_written(
    server: Server,
    body: bytes,
    packed: bool,
    login: tuple[str, str],
    status: int,
    error: str,
) -> None:
    headers = {"Content-Encoding": "gzip"} if packed else {}
    answer = server.request("POST", "/write?db=db", body, headers, login)
    assert (answer.status, answer.error[: len(error)]) == (status, error)


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/write", 405, "POST, OPTIONS"),
        ("OPTIONS", "/write", 200, None),
        ("GET", "/api/v2/write", 405, "POST"),
        ("PUT", "/write", 405, "POST, OPTIONS"),
    ],
)
def test_it_is_for_post_only(
    server: Server, method: str, path: str, status: int, allow: str | None
) -> None:
    answer = server.request(method, path)
    assert (answer.status, answer.headers["Allow"]) == (status, allow)
