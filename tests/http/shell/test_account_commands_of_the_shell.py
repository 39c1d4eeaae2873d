"""The shell's commands about API keys and sessions."""

from contextlib import closing
from pathlib import Path

import pytest

from headgate_engine import Engine, MemoryStore
from headgate_shell.backends.base import ConnectionSettings
from headgate_shell.backends.store import StoreBackend
from headgate_shell.commands.dispatch import run_command
from headgate_shell.session import Session
from headgate_shell.terminal import CommandFailed, Terminal
from support.account_requests import send, sign_in
from support.local_server import LocalServer
from support.recorder_upstream import recorder


@pytest.fixture
def running(server: LocalServer) -> LocalServer:
    return server.bootstrap(
        "CREATE DATABASE shop; CREATE USER todd WITH PASSWORD 's3cret'; GRANT ALL ON shop TO todd"
    )


def run(server: LocalServer, name: str, password: str, *lines: str) -> list[str]:
    """Runs *lines* as the user *name*; returns what each printed, or its error."""
    session = Session(ConnectionSettings("127.0.0.1", server.port, name, password))
    session.format = "csv"
    shown = []
    for line in lines:
        printed: list[str] = []
        try:
            run_command(line, session, Terminal(printed.append))
        except CommandFailed as error:
            printed.append(str(error))
        shown.append("".join(printed))
    return shown


def test_a_key_is_made_listed_and_revoked(running: LocalServer) -> None:
    made, listed, revoked, empty = run(
        running, "root", "Toor-1", "\\key eu for todd WRITE on shop ttl 30d", "\\keys todd",
        "\\revoke 1", "\\keys todd",
    )  # fmt: skip
    key = made.split("\n")[0]
    running.secrets.add(key)
    assert key.startswith("hgk_") and made.endswith("It is not shown again. Its id is 1.\n")
    assert "1,todd,eu,Agent,WRITE on shop,2" in listed
    assert revoked == "Key 1 is revoked.\n" and "eu" not in empty
    own, mine = run(running, "todd", "s3cret", "\\key own", "\\keys")
    running.secrets.add(own.split("\n")[0])
    assert ",todd,own,Editor,,," in mine
    # A key is a login of the shell, too.
    (grants,) = run(running, "api_key", own.split("\n")[0], "\\du")
    assert "shop,ALL PRIVILEGES" in grants


def test_sessions_are_listed_and_ended(running: LocalServer) -> None:
    token = sign_in(running, "todd", "s3cret")
    other = sign_in(running, "todd", "s3cret")
    listed, of_todd, ended = run(
        running, "root", "Toor-1", "\\sessions", "\\sessions todd", "\\logout todd"
    )
    assert ",todd,password,127.0.0.1," in of_todd and "todd" not in listed
    assert ended == "2 sessions ended.\n"
    for one in (token, other):
        assert send(running, "GET", "/api/whoami", cookie=one).status == 401
    assert run(running, "todd", "s3cret", "\\logout") == ["0 sessions ended.\n"]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("\\key", "usage: \\key NAME"),
        ("\\key eu READ shop", "usage: \\key NAME"),
        ("\\key eu ttl soon", "ttl soon: expected a duration"),
        ("\\key eu for", "usage: \\key NAME"),
        ("\\key eu READ on nix", "ERR: database not found: nix"),
        ("\\revoke", "usage: \\revoke ID"),
        ("\\revoke 9", "ERR: key not found"),
        ("\\keys nix", "ERR: user not found"),
        ("\\logout nix", "ERR: user not found"),
    ],
)
def test_bad_input_is_named(running: LocalServer, line: str, error: str) -> None:
    (shown,) = run(running, "root", "Toor-1", line)
    assert shown.startswith(error)


def test_another_server_has_no_accounts(tmp_path: Path) -> None:
    with recorder() as other:
        other.reply = lambda heard: (404, {}, b"404 page not found")
        session = Session(ConnectionSettings("127.0.0.1", int(other.url.rpartition(":")[2])))
        with pytest.raises(CommandFailed, match="this server has no accounts"):
            run_command("\\keys", session, Terminal(str))
    with closing(MemoryStore()) as store:
        session = Session()
        session.backend = StoreBackend(Engine(store))
        with pytest.raises(CommandFailed, match="this server has no accounts"):
            run_command("\\sessions", session, Terminal(str))
