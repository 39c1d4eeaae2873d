"""People sign a terminal in by a browser on the same machine."""

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from headgate_engine import (
    UNRESTRICTED,
    Engine,
    MemoryStore,
    Passwords,
    ProviderSession,
    Session,
    SqliteStore,
)
from headgate_server.auth.sealing import Sealer
from headgate_server.auth.terminal_code import Kind, Terminal, TerminalGrant, opened_grant
from support.account_requests import COOKIE, cookie_of, send
from support.console_requests import Visitor, page_text
from support.fake_openid import FakeOpenID
from support.local_server import LocalServer
from support.servers import ROOT, Answer
from support.sso import come_back, path_of, provider_table, serve_with
from support.terminal_requests import (
    CHALLENGE,
    TERMINAL,
    device,
    led_to,
    question_in,
    reason,
    redeem,
)

pytest_plugins = ("support.fake_openid_fixtures",)

Serve = Callable[..., LocalServer]


@pytest.fixture
def server(serve: Serve, tmp_path: Path, provider: FakeOpenID) -> LocalServer:
    return serve_with(serve, tmp_path, provider_table(provider))


def sent(answer: Answer) -> dict[str, str]:
    """Returns the parameters of the URL that *answer* leads to, always on this machine."""
    parts = urlsplit(led_to(answer))
    assert (parts.scheme, parts.netloc, parts.path) == ("http", "127.0.0.1:43210", "/")
    return dict(parse_qsl(parts.query))


def code_by_provider(visitor: Visitor, provider: FakeOpenID, login: str = "ann") -> str:
    """Returns the code after a sign-in of *login* at *provider* and a confirmed question."""
    asked = come_back(visitor, provider, login, f"/login/corp?{TERMINAL}")
    assert f"Sign in the terminal as {login}?" in page_text(asked)
    led = sent(visitor.post("/login", {"grant": question_in(asked)}))
    assert led["state"] == CHALLENGE
    return led["code"]


@pytest.mark.slow
def test_a_browser_signs_a_terminal_in_by_a_provider(
    server: LocalServer, provider: FakeOpenID
) -> None:
    visitor = Visitor(server)
    page = page_text(visitor.get(f"/login?{TERMINAL}"))
    assert f"/login/corp?redirect=%2Fconsole%2F&{TERMINAL}" in page.replace(
        "/console/", "%2Fconsole%2F"
    )
    code = code_by_provider(visitor, provider)
    assert COOKIE not in visitor.cookies  # the terminal is signed in, not the browser
    wrong = redeem(server, code, "w" * 43)
    assert wrong.status == 403
    assert reason(server, "-- login (oauth corp)") == "terminal: another verifier"
    done = redeem(server, code)
    assert done.status == 200, done.body
    assert done.json["user"]["name"] == "ann"
    assert (done.json["session"]["method"], done.json["session"]["provider"]) == ("oauth", "corp")
    assert send(server, "GET", "/api/user", cookie=cookie_of(done)).json["name"] == "ann"
    again = redeem(server, code)
    assert again.status == 403 and cookie_of(again) == ""
    server.secrets |= {code, cookie_of(done)}


def test_a_browser_signs_a_terminal_in_by_a_password(server: LocalServer) -> None:
    visitor = Visitor(server)
    page = page_text(visitor.get(f"/login?{TERMINAL}"))
    assert 'name="terminal" value="43210"' in page and f'value="{CHALLENGE}"' in page
    hidden = {"terminal": "43210", "challenge": CHALLENGE}
    wrong = visitor.post("/login", {"username": "root", "password": "wrong-1"} | hidden)
    assert wrong.status == 401 and 'name="terminal" value="43210"' in page_text(wrong)
    led = sent(visitor.post("/login", {"username": ROOT[0], "password": ROOT[1]} | hidden))
    done = redeem(server, led["code"])
    assert done.json["user"]["name"] == "root"
    assert done.json["session"]["method"] == "password"


def test_a_person_that_is_signed_in_is_asked_first(server: LocalServer) -> None:
    visitor = Visitor(server, *ROOT)
    page = visitor.get(f"/login?{TERMINAL}")
    assert "Sign in the terminal as root?" in page_text(page)
    grant = question_in(page)
    refused = visitor.post("/login", {"grant": grant}, Sec_Fetch_Site="cross-site")
    assert refused.status == 403
    codes = [sent(visitor.post("/login", {"grant": grant}))["code"] for _ in range(2)]
    done = redeem(server, codes[0])
    assert done.json["user"]["name"] == "root"
    assert redeem(server, codes[1]).status == 403  # of the same confirmation
    assert visitor.get("/api/user").json["name"] == "root"  # the browser's own session goes on


@pytest.mark.slow
def test_a_session_that_the_provider_confirms_comes_by_the_provider_again(
    serve: Serve, tmp_path: Path, provider: FakeOpenID
) -> None:
    server = serve_with(serve, tmp_path, provider_table(provider, use_refresh_token=True))
    visitor = Visitor(server)
    assert come_back(visitor, provider).status == 303
    answer = visitor.get(f"/login?{TERMINAL}")
    assert (answer.status, answer.headers["Location"]) == (302, f"/login/corp?{TERMINAL}")
    done = redeem(server, code_by_provider(visitor, provider))
    assert done.status == 200, done.body
    stored = server_session(server, done.json["session"]["id"])
    assert stored.access_expires_at > time.time()


def server_session(server: LocalServer, id: str) -> Session:
    """Returns the session *id* in the store of *server*, which has tokens of a provider."""
    with closing(SqliteStore(server.store, create=False)) as store:
        found = Engine(store).sessions.by_id(id)
        assert found is not None and store.session_tokens(id) is not None
        return found


UNFIT = {
    "a low port": ("1023", CHALLENGE),
    "a high port": ("65536", CHALLENGE),
    "no number": ("43210x", CHALLENGE),
    "a host": ("evil.example:43210", CHALLENGE),
    "a login in the URL": ("43210@evil.example", CHALLENGE),
    "other digits": ("\u0664\u0663\u0662\u0661\u0660", CHALLENGE),
    "a zero before": ("043210", CHALLENGE),
    "no port": ("", CHALLENGE),
    "a short challenge": ("43210", CHALLENGE[1:]),
    "a long challenge": ("43210", CHALLENGE + "A"),
    "another alphabet": ("43210", "+" * 43),
    "a line": ("43210", CHALLENGE[:-1] + "\n"),
    "no challenge": ("43210", ""),
}


@pytest.mark.parametrize(("port", "challenge"), UNFIT.values(), ids=UNFIT.keys())
def test_other_terminals_are_ignored(
    server: LocalServer, provider: FakeOpenID, port: str, challenge: str
) -> None:
    query = urlencode({"terminal": port, "challenge": challenge})
    visitor = Visitor(server)
    assert "erminal" not in page_text(visitor.get(f"/login?{query}"))
    answer = come_back(visitor, provider, start=f"/login/corp?{query}")
    assert (answer.status, answer.headers["Location"]) == (303, "/console/")
    form = {"username": ROOT[0], "password": ROOT[1], "terminal": port, "challenge": challenge}
    assert Visitor(server).post("/login", form).status == 303


def test_nothing_of_the_request_chooses_the_host(server: LocalServer) -> None:
    form = {"username": ROOT[0], "password": ROOT[1], "terminal": "43210", "challenge": CHALLENGE}
    sent(
        Visitor(server).post(
            "/login?redirect=https://evil.example&host=evil.example",
            form | {"redirect": "https://evil.example", "host": "evil.example"},
            Host="evil.example",
            X_Forwarded_Host="evil.example",
        )
    )


def test_auto_login_keeps_the_terminal(serve: Serve, tmp_path: Path, provider: FakeOpenID) -> None:
    server = serve_with(serve, tmp_path, provider_table(provider, auto_login=True))
    answer = Visitor(server).get(f"/login?{TERMINAL}")
    assert answer.headers["Location"].endswith(f"&{TERMINAL}")


@pytest.mark.slow
def test_a_code_is_for_a_user_that_is_active_and_has_the_same_password(
    server: LocalServer, provider: FakeOpenID
) -> None:
    code = code_by_provider(Visitor(server), provider)
    ann = next(it for it in send(server, "GET", "/api/users").json if it["name"] == "ann")
    assert send(server, "PUT", f"/api/users/{ann['id']}/disable").status < 300
    assert redeem(server, code).status == 403
    hidden = {"terminal": "43210", "challenge": CHALLENGE}
    login = {"username": ROOT[0], "password": ROOT[1]}
    code = sent(Visitor(server).post("/login", login | hidden))["code"]
    server.query("SET PASSWORD FOR root = 'N3w-Pass-1'")
    assert redeem(server, code).status == 403
    assert reason(server, "-- login (terminal)") == "terminal: the password has changed"


@pytest.mark.slow
def test_other_sealed_values_are_no_code(server: LocalServer, provider: FakeOpenID) -> None:
    visitor = Visitor(server)
    handle = device(server).json["handle"]
    visitor.get("/login/corp")
    flow = next(value for name, value in visitor.cookies.items() if "headgate_login_" in name)
    page = come_back(visitor, provider, start=f"/login/corp?{TERMINAL}")
    grant = question_in(page)
    for other in (handle, flow, grant, "", "x", "x" * 60_000):
        assert redeem(server, other).status == 403
    for other in (flow, grant):
        assert device(server, {"handle": other}).status == 403
    assert visitor.post("/login", {"grant": handle}).status == 403
    # A handle in the cookie of a flow is no flow.
    begun = visitor.get("/login/corp")
    callback = path_of(provider.sign_in(begun.headers["Location"], "ann"))
    for name in visitor.cookies:
        if name.startswith("headgate_login_"):
            visitor.cookies[name] = handle
    assert visitor.get(callback).status == 400


def test_a_code_ends_after_a_minute(tmp_path: Path) -> None:
    class Clock(Sealer):
        """Opens as if *later* seconds had passed."""

        later = 0

        def open(self, sealed: bytes, max_age: int | None = None) -> bytes | None:
            return super().open(sealed, None if max_age is None else max_age - self.later)

    sealer = Clock(str(tmp_path / "keys"))
    terminal = Terminal(43210, CHALLENGE)
    grant = TerminalGrant(terminal, "7", "c", "oauth", 0, ProviderSession("corp", auth_at=9))
    lifetimes: dict[Kind, int] = {"terminal code": 60, "terminal grant": 600}
    for kind, seconds in lifetimes.items():
        sealed = grant.sealed(kind, sealer)
        sealer.later = 0
        assert opened_grant(sealed, kind, sealer) == grant
        sealer.later = seconds + 1
        assert opened_grant(sealed, kind, sealer) is None


def test_a_terminal_is_no_fresh_login_if_the_browser_has_none() -> None:
    with closing(MemoryStore()) as store:
        engine = Engine(store, Passwords(cost=4))
        engine.query("CREATE USER root WITH PASSWORD 'Toor-1' WITH ALL PRIVILEGES", UNRESTRICTED)
        user = engine.user("root")
        assert user is not None
        session, _ = engine.sessions.begin(user, "password", origin=ProviderSession(auth_at=7))
        assert session.auth_at == 7
