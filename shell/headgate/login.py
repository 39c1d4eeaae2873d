"""`headgate login`: signs a person in to a server, and keeps the session for other commands."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from headgate.flags import CommandParser
from headgate.saved_sessions import RotatingSession, SavedSession, SavedSessions, cookie_of
from headgate.server_url import connection_to
from headgate.store_file import guarded, print_line
from headgate_shell.backends.base import ConnectionFailed, ConnectionSettings
from headgate_shell.backends.http import HttpBackend

_DEFAULT_URL = "http://localhost:8086"
_BROWSER_SECONDS = 600
_MOST_SECONDS = 1800
_AWAY = (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT)
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def command_parser() -> CommandParser:
    """Returns the parser of the flags of `headgate login`."""
    parser = CommandParser(
        prog="headgate login",
        description="Sign in to a server. Other commands then use the session.",
    )
    add = parser.add_argument
    add("url", metavar="URL", nargs="?", default=_DEFAULT_URL, help=f"default: {_DEFAULT_URL}")
    add("--provider", metavar="NAME", default="", help="the provider, if there are several")
    add("--user", metavar="NAME", default="", help="sign in by a password, which is prompted for")
    way = parser.add_mutually_exclusive_group()
    for flag, meaning in (
        ("--browser", "by a browser on this machine"),
        ("--device", "by a code on another device"),
    ):
        parser.record(way.add_argument(flag, action="store_true", help=meaning))
    add("--no-keyring", action="store_true", help="keep the session in a file")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Runs `headgate login [URL]`; returns the exit status."""
    flags = command_parser().parse(arguments)
    return guarded(lambda: _login(flags))


def _login(flags: argparse.Namespace) -> int:
    if flags.user and (flags.provider or flags.browser or flags.device):
        raise ValueError("--user: expected no --provider, --browser and --device beside it")
    connection = connection_to(flags.url, "", "")
    if not connection.ssl and connection.host not in _LOOPBACK:
        print_line(f"headgate: the connection to {connection.url} is not encrypted", sys.stderr)
    sessions = SavedSessions()
    new = _NewSession(sessions, connection)
    try:
        answer = _answer(flags, connection._replace(session=new))
    except ConnectionFailed as error:
        raise ValueError(str(error)) from None
    try:
        user, ends = str(answer["user"]["name"]), str(answer["session"]["expires_at"])
    except (LookupError, TypeError):
        raise _failure(connection, HTTPStatus.OK, answer) from None
    name, token = cookie_of(new.field)
    if not name or not token:
        raise ValueError(f"{connection.url}: the response has no session")
    url = connection.session_url
    sessions.remove(url)
    sessions.save(SavedSession(url, user, name, token, in_keyring=not flags.no_keyring))
    print_line(f"signed in to {url} as {user}, until {ends}")
    return 0


class _NewSession(RotatingSession):
    """Shows the session that the new one replaces, and keeps the new one in `field`."""

    def __init__(self, sessions: SavedSessions, connection: ConnectionSettings) -> None:
        super().__init__(sessions, connection.session_url, "")
        self.field = ""

    def cookie(self) -> str:
        """Returns the header field `Cookie` of the previous session; "" without one."""
        try:
            return super().cookie()
        except ValueError:
            return ""  # it cannot be used, and is replaced

    def replace(self, field: str) -> None:
        """Keeps *field*, a value of `Set-Cookie`."""
        self.field = field


def _answer(flags: argparse.Namespace, connection: ConnectionSettings) -> Any:
    """Signs the person in; returns the content of the last response. Raises ConnectionFailed."""
    if flags.user:
        return _by_password(connection, flags.user)
    if flags.browser:
        return _by_browser(connection, flags.provider)
    content = {"provider": flags.provider} if flags.provider else {}
    status, begun = _post(connection, "/api/session/device", content)
    if status == HTTPStatus.OK:
        return _by_device(connection, begun)
    if flags.device:
        raise _failure(connection, status, begun)
    if status == HTTPStatus.NOT_IMPLEMENTED:
        return _by_browser(connection, flags.provider)
    if status == HTTPStatus.NOT_FOUND and not flags.provider:
        return _by_password(connection, _asked_user())
    raise _failure(connection, status, begun)


def _by_password(connection: ConnectionSettings, user: str) -> Any:
    HttpBackend().ping(connection)  # before a person types a password for a server that is away
    # Imported on demand: it needs the server's package.
    from headgate.password_input import read_known_password

    password = read_known_password()
    status, found = _post(connection, "/api/session", {"user": user, "password": password})
    if status != HTTPStatus.OK:
        raise _failure(connection, status, found)
    return found


def _asked_user() -> str:
    if not sys.stdin.isatty():
        raise ValueError("the server has no sign-in provider: expected --user NAME")
    return input("user: ").strip()


def _by_device(connection: ConnectionSettings, begun: Any) -> Any:
    """Prints the URL and the code, and asks until the person has approved the sign-in."""
    try:
        url, code, handle = (str(begun[it]) for it in ("verificationUri", "userCode", "handle"))
        first = interval = max(1, int(begun["interval"]))
        deadline = time.monotonic() + min(int(begun["expiresIn"]), _MOST_SECONDS)
    except (LookupError, TypeError, ValueError):
        raise _failure(connection, HTTPStatus.OK, begun) from None
    print_line(f"Open {url} and enter the code {code}")
    if with_code := begun.get("verificationUriComplete"):
        print_line(f"or open {with_code}")
    sys.stdout.flush()
    while time.monotonic() < deadline:
        time.sleep(interval)
        status, found = _post(connection, "/api/session/device", {"handle": handle})
        if status == HTTPStatus.OK:
            return found
        if status not in (HTTPStatus.ACCEPTED, *_AWAY):
            raise _failure(connection, status, found)
        wanted = found.get("interval") if isinstance(found, dict) else None
        # The server keeps nothing: each `slow_down` adds to the interval (RFC 8628, section 3.5).
        if status in _AWAY or (isinstance(wanted, int) and wanted > first):
            interval += 5
    raise ValueError("the sign-in took too long, begin again")


def _by_browser(connection: ConnectionSettings, provider: str) -> Any:
    """Opens the sign-in page, and waits for the code that the browser brings."""
    from urllib.parse import quote

    from headgate.login_listener import LoginListener

    path = f"/login/{quote(provider, safe='')}" if provider else "/login"
    with LoginListener() as listener:
        prefix = connection.path_prefix.rstrip("/")
        url = f"{connection.url}{prefix}{path}?{listener.query}"
        print_line(f"Open {url}")
        minutes = _BROWSER_SECONDS // 60
        print_line(f"Waiting for the browser, up to {minutes} minutes; Ctrl-C gives up.")
        sys.stdout.flush()
        _open_browser(url)
        code = listener.wait(_BROWSER_SECONDS)
        content = {"code": code, "verifier": listener.verifier}
    status, found = _post(connection, "/api/session/code", content)
    if status != HTTPStatus.OK:
        raise _failure(connection, status, found)
    return found


def _open_browser(url: str) -> None:
    """Opens *url* in a browser with windows: one for terminals would hide the command."""
    has_windows = sys.platform == "darwin" or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    if has_windows:
        import webbrowser

        webbrowser.open(url)


def _post(connection: ConnectionSettings, path: str, content: Any) -> tuple[int, Any]:
    import json

    return HttpBackend().post_json(connection, path, json.dumps(content).encode())


def _failure(connection: ConnectionSettings, status: int, content: Any) -> ValueError:
    """Returns the error for the error in the response *content*."""
    if isinstance(content, dict) and isinstance(content.get("error"), str):
        return ValueError(f"{connection.url}: {content['error']}")
    return ValueError(f"{connection.url}: the response is not that of a Headgate: status {status}")
