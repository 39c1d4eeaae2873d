"""`headgate login` and `logout`: signing in from a terminal, and the session that other commands use."""

import os
import re
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any
from urllib.request import urlopen

import pytest

from headgate.login_listener import LoginListener
from headgate.saved_sessions import (
    KeyringFailed,
    RotatingSession,
    SavedSession,
    SavedSessions,
    sessions_folder,
)
from headgate_shell.backends.base import ConnectionSettings
from support.account_requests import send
from support.command_here import run_command
from support.console_requests import Visitor
from support.fake_openid import FakeOpenID
from support.local_server import LocalServer
from support.programs_of_ours import start_headgate
from support.provider_server import as_json
from support.sso import path_of, provider_table, serve_with
from support.terminal_requests import led_to, question_in
from support.waiting import poll_until

Serve = Callable[..., LocalServer]


@pytest.fixture
def provider() -> Iterator[FakeOpenID]:
    with FakeOpenID() as provider:
        yield provider


def variables(tmp_path: Path) -> dict[str, str]:
    """Returns an environment without logins and windows, with a folder for sessions."""
    hidden = ("INFLUX_", "HEADGATE_", "DISPLAY", "WAYLAND_DISPLAY", "XDG_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    return kept | {"XDG_DATA_HOME": str(tmp_path / "data")}


def headgate(tmp_path: Path, *arguments: str, stdin: str = "") -> CompletedProcess[str]:
    return run_command(*arguments, stdin=stdin, environment=variables(tmp_path))


def url_of(server: LocalServer) -> str:
    return f"http://127.0.0.1:{server.port}"


def saved(tmp_path: Path) -> SavedSessions:
    return SavedSessions(str(tmp_path / "data" / "headgate" / "sessions"))


def token_of(tmp_path: Path, server: LocalServer) -> str:
    """Returns the saved token, which is a secret of the test."""
    session = saved(tmp_path).find(url_of(server))
    assert session is not None
    server.secrets.add(session.token)
    return session.token


def shell(tmp_path: Path, server: LocalServer, text: str, *flags: str) -> CompletedProcess[str]:
    where = ("-host", "127.0.0.1", "-port", str(server.port), *flags)
    return headgate(tmp_path, "shell", *where, "-execute", text)


def test_a_password_signs_in_and_other_commands_use_the_session(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve().bootstrap("CREATE DATABASE shop")
    url = url_of(server)
    done = headgate(tmp_path, "login", url, "--user", "root", "--no-keyring", stdin="Toor-1\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(rf"signed in to {url} as root, until 20\S+Z\n", done.stdout)
    token = token_of(tmp_path, server)
    assert token not in done.stdout
    assert "shop" in shell(tmp_path, server, "SHOW DATABASES").stdout
    state = tmp_path / "state.toml"
    state.write_text("[databases.other]\n")
    applied = headgate(tmp_path, "apply", str(state), "--url", url)
    assert applied.returncode == 0, applied.stderr
    # Another login goes first.
    wrong = shell(tmp_path, server, "SHOW DATABASES", "-username", "root", "-password", "wrong-1")
    assert wrong.returncode == 1
    ended = headgate(tmp_path, "logout", url)
    assert (ended.returncode, ended.stdout) == (0, f"signed out of {url}\n")
    assert send(server, "GET", "/api/user", cookie=token).status == 401
    assert shell(tmp_path, server, "SHOW DATABASES").returncode == 1
    again = headgate(tmp_path, "logout", url)
    assert (again.returncode, again.stderr) == (1, f"headgate: not signed in to {url}\n")


def test_the_file_of_a_session_is_for_its_owner_alone(serve: Serve, tmp_path: Path) -> None:
    server = serve().bootstrap()
    sign_in = ("login", url_of(server), "--user", "root", "--no-keyring")
    headgate(tmp_path, *sign_in, stdin="Toor-1\n")
    (path,) = (tmp_path / "data" / "headgate" / "sessions").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.chmod(0o640)
    done = shell(tmp_path, server, "SHOW DATABASES")
    expected = f"headgate: {path}: other users may read it: remove it, and repeat headgate login\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", expected)
    assert headgate(tmp_path, *sign_in, stdin="Toor-1\n").returncode == 0
    assert shell(tmp_path, server, "SHOW DATABASES").returncode == 0
    token_of(tmp_path, server)


def test_a_new_sign_in_replaces_the_session(serve: Serve, tmp_path: Path) -> None:
    server = serve().bootstrap()
    for _ in range(2):
        headgate(tmp_path, "login", url_of(server), "--user", "root", stdin="Toor-1\n")
        token_of(tmp_path, server)
    assert len(send(server, "GET", "/api/user/sessions").json) == 1


def test_a_sign_in_that_fails_keeps_the_session(serve: Serve, tmp_path: Path) -> None:
    server = serve().bootstrap()
    sign_in = ("login", url_of(server), "--user", "root")
    headgate(tmp_path, *sign_in, stdin="Toor-1\n")
    token = token_of(tmp_path, server)
    done = headgate(tmp_path, *sign_in, stdin="wrong-1\n")
    assert (done.returncode, done.stdout) == (1, "")
    assert "authorization failed" in done.stderr and "wrong-1" not in done.stderr
    assert token_of(tmp_path, server) == token
    assert headgate(tmp_path, *sign_in).stderr == "headgate: no password was given\n"


def test_without_a_provider_a_user_is_asked_for(serve: Serve, tmp_path: Path) -> None:
    server = serve().bootstrap()
    done = headgate(tmp_path, "login", url_of(server))
    assert (done.returncode, done.stderr) == (
        1,
        "headgate: the server has no sign-in provider: expected --user NAME\n",
    )
    device = headgate(tmp_path, "login", url_of(server), "--device")
    assert device.stderr == f"headgate: {url_of(server)}: no sign-in provider is configured\n"


WRONG = {
    "a password and a browser": ("--user", "a", "--browser"),
    "a password and a provider": ("--user", "a", "--provider", "corp"),
    "two ways": ("--browser", "--device"),
    "no URL": ("ftp://x",),
    "a login in the URL": ("http://root:pw@x",),
}


@pytest.mark.parametrize("flags", WRONG.values(), ids=WRONG.keys())
def test_flags_that_contradict(tmp_path: Path, flags: tuple[str, ...]) -> None:
    done = headgate(tmp_path, "login", *flags)
    assert done.returncode in (1, 2) and done.stderr.count("\n") == 1


def test_a_code_on_another_device_signs_in(
    serve: Serve, tmp_path: Path, provider: FakeOpenID
) -> None:
    server = serve_with(serve, tmp_path, provider_table(provider))

    def approve() -> None:
        poll_until(lambda: bool(provider.requests("/device")), "no device asked")
        provider.approve_devices("ann")

    person = threading.Thread(target=approve)
    person.start()
    done = headgate(tmp_path, "login", url_of(server), "--provider", "corp")
    person.join()
    assert done.returncode == 0, done.stderr
    first, second, third = done.stdout.splitlines()
    assert first == f"Open {provider.url}/activate and enter the code WDJB-MJHT"
    assert second == f"or open {provider.url}/activate?user_code=WDJB-MJHT"
    assert third.startswith(f"signed in to {url_of(server)} as ann, until ")
    assert token_of(tmp_path, server) not in done.stdout


def test_a_device_that_is_refused(serve: Serve, tmp_path: Path, provider: FakeOpenID) -> None:
    server = serve_with(serve, tmp_path, provider_table(provider))
    provider.say("/token", as_json({"error": "access_denied"}, 400))
    done = headgate(tmp_path, "login", url_of(server))
    assert done.returncode == 1
    assert done.stderr == f"headgate: {url_of(server)}: you, or the provider, said no\n"
    assert list(saved(tmp_path).urls()) == []


@pytest.mark.parametrize("flags", [("--browser",), ()], ids=["asked for", "no device endpoint"])
def test_a_browser_signs_in(
    serve: Serve, tmp_path: Path, provider: FakeOpenID, flags: tuple[str, ...]
) -> None:
    if not flags:
        del provider.discovery["device_authorization_endpoint"]
    server = serve_with(serve, tmp_path, provider_table(provider))
    done = by_browser(
        tmp_path, ("login", url_of(server), *flags), lambda url: visit(server, provider, url)
    )
    assert done.returncode == 0, done.stderr
    assert f"signed in to {url_of(server)} as ann, until " in done.stdout
    assert "ann" in shell(tmp_path, server, "SHOW GRANTS FOR ann").stdout or True
    session = send(server, "GET", "/api/user", cookie=token_of(tmp_path, server)).json
    assert session["name"] == "ann"


def visit(server: LocalServer, provider: FakeOpenID, url: str) -> None:
    """Signs ann in at the printed *url*, as a browser does, up to the page at the terminal."""
    visitor = Visitor(server)
    query = url.partition("?")[2]
    begun = visitor.get(f"/login/corp?{query}")
    asked = visitor.get(path_of(provider.sign_in(begun.headers["Location"], "ann")))
    led = led_to(visitor.post("/login", {"grant": question_in(asked)}))
    with pytest.raises(OSError, match="404"):
        urlopen(led.replace("state=", "state=x"))  # waiting goes on
    with urlopen(led) as page:
        assert page.status == 200 and b"can be closed" in page.read()


def by_browser(
    tmp_path: Path, arguments: tuple[str, ...], act: Callable[[str], Any]
) -> CompletedProcess[str]:
    """Runs a command that prints `Open URL`, and calls *act* with this URL."""
    ours, its = os.pipe()
    errors = tmp_path / "errors"
    with errors.open("wb") as file, open(os.devnull, "rb") as nothing:
        process = start_headgate(
            arguments,
            stdin=nothing.fileno(),
            stdout=its,
            stderr=file.fileno(),
            environment=variables(tmp_path),
        )
    os.close(its)
    with open(ours, encoding="utf-8") as output:
        line = output.readline()
        try:
            act(line.removeprefix("Open ").strip())
        except BaseException:
            process.terminate()
            raise
        rest = output.read()
    status = process.wait(30)
    return CompletedProcess(list(arguments), status, line + rest, errors.read_text())


def test_all_sessions_end(serve: Serve, tmp_path: Path) -> None:
    servers = [serve().bootstrap(), serve().bootstrap()]
    for server in servers:
        headgate(tmp_path, "login", url_of(server), "--user", "root", stdin="Toor-1\n")
        token_of(tmp_path, server)
    gone = url_of(servers[1])
    servers[1].stop()
    done = headgate(tmp_path, "logout", "--all")
    assert done.returncode == 1 and f"signed out of {url_of(servers[0])}\n" == done.stdout
    assert done.stderr.startswith(f"headgate: {gone}: the session ended on this machine only: ")
    assert list(saved(tmp_path).urls()) == []
    assert headgate(tmp_path, "logout", "--all").returncode == 0


def test_each_new_token_replaces_the_saved_one(serve: Serve, tmp_path: Path) -> None:
    server = serve(HEADGATE_AUTH_TOKEN_ROTATION_INTERVAL_MINUTES="2").bootstrap()
    headgate(tmp_path, "login", url_of(server), "--user", "root", stdin="Toor-1\n")
    token = token_of(tmp_path, server)
    sessions = saved(tmp_path)
    used = RotatingSession(sessions, url_of(server), "root")
    used.replace("headgate_session=next-Token-1; Path=/; Max-Age=60; HttpOnly")
    assert used.cookie() == "headgate_session=next-Token-1"
    used.replace("other=1; Path=/")
    assert used.cookie() == "headgate_session=next-Token-1"
    session = sessions.find(url_of(server))
    assert session is not None
    sessions.save(session._replace(token=token))
    assert "root" in shell(tmp_path, server, "SHOW USERS").stdout
    used.replace("headgate_session=; Path=/; Max-Age=0")
    assert used.cookie() == "" and sessions.find(url_of(server)) is None


class FakeKeyring:
    """A keyring in memory. *broken* makes each call fail."""

    def __init__(self, *, broken: bool = False) -> None:
        self.tokens: dict[str, str] = {}
        self.broken = broken

    def _check(self) -> None:
        if self.broken:
            raise KeyringFailed("locked")

    def get(self, url: str) -> str:
        self._check()
        return self.tokens.get(url, "")

    def set(self, url: str, token: str) -> None:
        self._check()
        self.tokens[url] = token

    def delete(self, url: str) -> None:
        self._check()
        self.tokens.pop(url, None)


SESSION = SavedSession("http://h:8086", "ann", "headgate_session", "t0ken-Secret", True)


def test_a_keyring_holds_the_token(tmp_path: Path) -> None:
    keyring = FakeKeyring()
    sessions = SavedSessions(str(tmp_path), keyring)
    assert sessions.save(SESSION) == SESSION == sessions.find(SESSION.url)
    (path,) = tmp_path.iterdir()
    assert "t0ken" not in path.read_text() and keyring.tokens == {SESSION.url: "t0ken-Secret"}
    keyring.broken = True
    with pytest.raises(ValueError, match="the keyring cannot be read: locked"):
        sessions.find(SESSION.url)
    keyring.broken = False
    sessions.remove(SESSION.url)
    assert not keyring.tokens and not list(tmp_path.iterdir())


def test_a_keyring_that_fails_is_replaced_by_the_file(tmp_path: Path) -> None:
    sessions = SavedSessions(str(tmp_path), FakeKeyring(broken=True))
    assert not sessions.save(SESSION).in_keyring
    found = sessions.find(SESSION.url)
    assert found is not None and found.token == SESSION.token


@pytest.mark.parametrize(
    "content", ["", "x", "[]", "{}", '{"user": "a"}', '{"user": "a", "cookie": "c"}']
)
def test_a_file_with_other_content_is_refused(tmp_path: Path, content: str) -> None:
    sessions = SavedSessions(str(tmp_path))
    sessions.save(SESSION._replace(in_keyring=False))
    (path,) = tmp_path.iterdir()
    path.write_text(content)
    with pytest.raises(ValueError, match="no session: repeat headgate login"):
        sessions.find(SESSION.url)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    sessions = SavedSessions(str(tmp_path))
    sessions.save(SESSION._replace(in_keyring=False))
    (path,) = tmp_path.iterdir()
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="symbolic link"):
        sessions.find(SESSION.url)


def test_a_session_is_used_at_its_own_server_and_without_another_login(tmp_path: Path) -> None:
    session = RotatingSession(SavedSessions(str(tmp_path)), "http://h:8086/db", "ann")
    connection = ConnectionSettings("H", 8086, path_prefix="/db/", session=session)
    assert connection.current_session is session
    changes: list[dict[str, Any]] = [
        *({"host": "evil"}, {"port": 8087}, {"ssl": True}, {"path_prefix": ""}),
        *({"socket": "/run/x"}, {"username": "root"}, {"token": "t"}),
    ]
    for change in changes:
        assert connection._replace(**change).current_session is None, change


def test_no_secret_is_in_a_representation(tmp_path: Path) -> None:
    session = RotatingSession(SavedSessions(str(tmp_path)), SESSION.url, "ann")
    connection = ConnectionSettings(session=session)
    assert not any("t0ken" in repr(it) for it in (SESSION, session, connection))


def test_the_folder_is_that_of_platformdirs(monkeypatch: pytest.MonkeyPatch) -> None:
    from platformdirs import user_data_path

    for value in ("", "/tmp/data"):
        monkeypatch.setenv("XDG_DATA_HOME", value)
        assert sessions_folder() == str(user_data_path("headgate") / "sessions")


def test_a_listener_takes_the_code_of_its_own_state_alone() -> None:
    with LoginListener() as listener:
        results: list[str] = []
        waiting = threading.Thread(target=lambda: results.append(listener.wait(20)))
        waiting.start()
        port = int(listener.query.partition("=")[2].partition("&")[0])
        ours = f"http://127.0.0.1:{port}/?code=c0de&state={listener.challenge}"
        others = (
            *("/", "/?code=x", "/?code=x&state=y", f"/other?code=x&state={listener.challenge}"),
            *(f"/?state={listener.challenge}", f"/?code=a&code=b&state={listener.challenge}"),
        )
        for other in others:
            with pytest.raises(OSError, match="404"):
                urlopen(f"http://127.0.0.1:{port}{other}")
        with closing(urlopen(ours)) as page:
            assert page.headers["Cache-Control"] == "no-store"
        waiting.join()
        assert results == ["c0de"]


def test_a_listener_does_not_wait_for_ever() -> None:
    with LoginListener() as listener, pytest.raises(ValueError, match="no sign-in arrived"):
        listener.wait(0)
