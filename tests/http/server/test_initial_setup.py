"""The first administrator, and changes that pages of other web sites send."""

from collections.abc import Callable
from urllib.parse import quote

import pytest

from support.servers import CREATE_ROOT, ROOT, Server
from support.setup_requests import REMOTE_CLIENT, send_query

PAGE = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}


def test_a_program_on_this_machine_creates_the_first_administrator(server: Server) -> None:
    assert send_query(server, f"{CREATE_ROOT}; CREATE DATABASE db; SHOW USERS", {}).status == 200
    assert server.query("SHOW DATABASES", ROOT).rows() == [["db"]]


NOT_HERE = [
    REMOTE_CLIENT,
    PAGE,
    {"Origin": "http://127.0.0.1:8086"},
    {"Sec-Fetch-Site": "same-origin"},
    {"Referer": "http://evil.example/"},
    {**REMOTE_CLIENT, "Authorization": f"Bearer hgs_{'0' * 40}"},
    {**REMOTE_CLIENT, "Authorization": "Bearer "},
    {"Host": "rebind.evil.example", "User-Agent": "curl/8"},
    {"Host": "rebind.evil.example", "User-Agent": "Mozilla/5.0", "Accept": "text/html"},
    {"User-Agent": "Mozilla/5.0 (X11)"},
    {"X-Forwarded-Proto": "https"},
]


@pytest.mark.slow
def test_no_other_request_creates_it_without_the_token(server: Server) -> None:
    for headers in NOT_HERE:
        for text in (CREATE_ROOT, f"{CREATE_ROOT}; SHOW USERS", f"-- x\n{CREATE_ROOT}"):
            for method in ("GET", "POST"):
                answer = send_query(server, text, headers, method)
                assert answer.status == 403
                assert "set-up token" in answer.error or "another web site" in answer.error
                assert "hgs_" not in answer.body.decode()
    assert send_query(server, CREATE_ROOT, {}).status == 200, "there is still no user"


def test_a_server_with_users_or_without_logins_has_no_token(serve: Callable[..., Server]) -> None:
    server = serve().bootstrap()
    server.stop()
    server.start()
    assert server.log().count("hgs_") == 1, "only the first start made one"
    assert "hgs_" not in serve("--no-auth").log()


def test_open_setup_is_influxdbs_way(serve: Callable[..., Server]) -> None:
    server = serve(HEADGATE_AUTH_OPEN_SETUP="true")
    assert "hgs_" not in server.log()
    assert send_query(server, CREATE_ROOT, PAGE).status == 403, (
        "but never for a page of another site"
    )
    assert send_query(server, CREATE_ROOT, REMOTE_CLIENT).status == 200


CHANGES = [
    "CREATE USER evil WITH PASSWORD 'x' WITH ALL PRIVILEGES",
    "DROP USER todd",
    "GRANT ALL PRIVILEGES TO todd",
    "SET PASSWORD FOR root = 'x'",
    "SHOW USERS; GRANT ALL ON db TO todd",
    "DROP DATABASE db",
    "SELECT x INTO y FROM m",
    "DELETE FROM m",
]
# Headers of a browser that follows a link to a server without TLS: none has the page's address.
LINK = {"User-Agent": "Mozilla/5.0 (X11)", "Accept": "text/html", "Host": "headgate.lan:8186"}


@pytest.mark.slow
def test_a_link_of_another_site_changes_nothing(serve: Callable[..., Server]) -> None:
    server = serve().bootstrap("CREATE DATABASE db; CREATE USER todd WITH PASSWORD 'Todd-1'")
    for headers in (LINK, {"User-Agent": "Mozilla/5.0"}, {"Upgrade-Insecure-Requests": "1"}):
        for text in CHANGES:
            assert send_query(server, text, headers, "GET", ROOT, db="db").status == 403, text
        assert send_query(server, "GRANT READ ON db TO todd", headers, "POST", ROOT).status == 200
        assert send_query(server, "SHOW USERS", headers, "GET", ROOT).status == 200
    assert server.query("SHOW GRANTS FOR todd", ROOT).rows() == [["db", "READ"]]


PAGES = [
    PAGE,
    {"Referer": "http://evil.example/page"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "null"},
]


@pytest.mark.slow
def test_a_page_of_another_site_changes_nothing_with_a_browsers_login(
    serve: Callable[..., Server],
) -> None:
    server = serve().bootstrap("CREATE DATABASE db; CREATE USER todd WITH PASSWORD 'Todd-1'")
    for headers in PAGES:
        _changes_nothing(server, headers)


def _changes_nothing(server: Server, headers: dict[str, str]) -> None:
    users = server.query("SHOW USERS", ROOT).rows()
    for text in CHANGES:
        for method in ("GET", "POST"):
            for more in ({}, {"chunked": "true"}, {"async": "true"}):
                answer = send_query(server, text, headers, method, ROOT, db="db", **more)
                assert (answer.status, "allowed-origins" in answer.error) == (403, True), text
        url = f"/query?u=root&p=Toor-1&q={quote(text)}"
        assert server.request("GET", url, None, headers).status == 403
    # Three times, so that the caches of parsed queries contain the statements.
    for _ in range(3):
        assert send_query(server, "GRANT ALL ON db TO todd", headers, "GET", ROOT).status == 403
        assert send_query(server, "SHOW GRANTS FOR todd", headers, "GET", ROOT).status == 200
    assert server.request("POST", "/write?db=db", b"m v=1", headers, ROOT).status == 403
    assert server.request("POST", "/api/v2/write?bucket=db/a", b"m", headers, ROOT).status == 403
    assert server.query("SHOW USERS", ROOT).rows() == users
    assert server.query("SHOW DATABASES", ROOT).rows() == [["db"]]
    assert send_query(server, "SHOW USERS", headers, "POST", ROOT).status == 200, "it may read"


def test_listed_sites_may_send_changes(serve: Callable[..., Server]) -> None:
    server = serve(HEADGATE_HTTP_ALLOWED_ORIGINS="https://a.example, http://evil.example")
    server.bootstrap()
    assert send_query(server, "CREATE DATABASE db", PAGE, "POST", ROOT).status == 200
    other = {**PAGE, "Origin": "http://other.example"}
    assert send_query(server, "CREATE DATABASE other", other, "POST", ROOT).status == 403


def test_without_logins_a_name_that_dns_points_here_is_refused(
    serve: Callable[..., Server],
) -> None:
    server = serve("--no-auth")
    page = {"Sec-Fetch-Site": "same-origin", "Origin": "http://rebind.evil.example"}
    text = "CREATE DATABASE db"
    for method in ("GET", "POST"):
        named = {**page, "Host": "rebind.evil.example"}
        assert send_query(server, text, named, method).status == 403
    assert send_query(server, text, {"Sec-Fetch-Site": "same-origin"}).status == 200
    assert send_query(server, text, {"Host": "metrics.example"}).status == 200, "no browser"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("listed", "readers", "senders"),
    [
        ("", "any", ""),
        ("https://a.example/", "https://a.example", "https://a.example"),
        ("*", "any", "any"),
    ],
)
def test_the_listed_origins_alone_may_read_and_send_changes(
    serve: Callable[..., Server], listed: str, readers: str, senders: str
) -> None:
    server = serve(HEADGATE_HTTP_ALLOWED_ORIGINS=listed).bootstrap()
    for origin in ("http://evil.example", "https://a.example", "HTTPS://A.example", "null"):
        page = {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
        answer = send_query(server, "SHOW USERS", page, "POST", ROOT)
        shown = answer.headers.get("access-control-allow-origin")
        assert shown == (origin if readers == "any" or origin.lower() == readers else None), origin
        may_send = senders == "any" or origin.lower() == senders
        sent = send_query(server, "CREATE DATABASE db", page, "POST", ROOT).status
        assert sent == (200 if may_send else 403), origin
        # A page of another site cannot sign its visitor in, unless it is listed by its name.
        form = {**page, "Content-Type": "application/x-www-form-urlencoded"}
        login = server.request("POST", "/login", b"username=root&password=Toor-1", form).status
        assert login == (303 if origin.lower() == senders else 403), origin


def test_sessions_are_protected_where_any_origin_is_allowed(serve: Callable[..., Server]) -> None:
    server = serve(HEADGATE_HTTP_ALLOWED_ORIGINS="*").bootstrap()
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    login = server.request("POST", "/login", b"username=root&password=Toor-1", form)
    cookie = login.headers["set-cookie"].partition(";")[0]
    page = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site", "Cookie": cookie}
    made = server.request("POST", "/api/users", b'{"name": "x"}', page)
    assert (made.status, "access-control-allow-origin" in made.headers) == (403, False)
