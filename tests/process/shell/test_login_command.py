"""`headgate login` and `logout`, and the session that other commands use."""

import os
import re
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any
from urllib.request import urlopen

import pytest

from headgate.login_listener import LoginListener
from headgate.saved_sessions import SavedSessions
from headgate_engine import SqliteStore
from headgate_engine.model.session import session_hash
from headgate_engine.stores.account_base import UpkeepTx
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


def test_a_shell_uses_the_session_where_it_can(serve: Serve, tmp_path: Path) -> None:
    server = serve().bootstrap("CREATE DATABASE shop")
    sign_in = ("login", url_of(server), "--user", "root", "--no-keyring")
    headgate(tmp_path, *sign_in, stdin="Toor-1\n")
    token_of(tmp_path, server)
    # A name without a password, as in a profile, is that of the session.
    assert "shop" in shell(tmp_path, server, "SHOW DATABASES", "-username", "root").stdout
    assert shell(tmp_path, server, "SHOW DATABASES", "-username", "todd").returncode == 1
    written = shell(tmp_path, server, "INSERT m v=1", "-database", "shop")
    assert (written.returncode, written.stdout) == (1, "")
    assert written.stderr.startswith("ERR: the session of headgate login writes no points: use -pa")
    points = tmp_path / "points"
    points.write_text("# DML\n# CONTEXT-DATABASE: shop\nm v=1\n")
    where = ("-host", "127.0.0.1", "-port", str(server.port))
    imported = headgate(tmp_path, "shell", *where, "-import", "-path", str(points))
    assert imported.returncode == 1 and "headgate login writes no points" in imported.stderr
    # A session that cannot be used is in the way of its own user alone.
    (path,) = (tmp_path / "data" / "headgate" / "sessions").iterdir()
    path.chmod(0o644)
    other_user = shell(tmp_path, server, "SHOW DATABASES", "-username", "todd")
    assert "authorization failed" in other_user.stderr and str(path) not in other_user.stderr
    path.chmod(0o600)
    other = ("-host", "localhost", "-port", str(server.port), "-execute", "SHOW DATABASES")
    missed = headgate(tmp_path, "shell", *other)
    assert missed.returncode == 1
    hint = f"headgate: there is a session at {url_of(server)}: see -url\n"
    assert missed.stderr.endswith(hint)


def test_a_delayed_sign_in_says_how_long(serve: Serve, tmp_path: Path) -> None:
    server = serve().bootstrap()
    sign_in = ("login", url_of(server), "--user", "root", "--no-keyring")
    tries = [headgate(tmp_path, *sign_in, stdin="Wrong-1\n") for _ in range(12)]
    assert all(done.returncode == 1 for done in tries)
    where = re.escape(url_of(server))
    delayed = rf"headgate: {where}: authorization failed: try again in \d+ s\n"
    assert re.fullmatch(delayed, tries[-1].stderr)


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
    none = headgate(tmp_path, "logout", "--all")
    assert (none.returncode, none.stdout) == (0, "there are no sessions\n")


def make_old(server: LocalServer, token: str) -> None:
    """Makes the session of *token* an hour older, so that its next request gets a new token."""
    hash = session_hash(token)
    assert hash is not None

    def change(tx: UpkeepTx) -> None:
        session = tx.session_by_hash(hash)
        assert session is not None
        old = session.rotated_at - 3600
        tx.put_session(replace(session, rotated_at=old, confirmed_at=old, seen=True))

    with closing(SqliteStore(server.store, create=False)) as store:
        store.upkeep(change)


def test_a_new_token_of_the_server_replaces_the_saved_one(serve: Serve, tmp_path: Path) -> None:
    server = serve().bootstrap()
    headgate(tmp_path, "login", url_of(server), "--user", "root", stdin="Toor-1\n")
    first = token_of(tmp_path, server)
    make_old(server, first)
    for _ in range(2):
        assert "root" in shell(tmp_path, server, "SHOW USERS").stdout
    assert token_of(tmp_path, server) != first


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
