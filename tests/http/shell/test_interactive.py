"""The interactive shell, with keys typed through a pipe."""

import stat
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from headgate_engine import Engine, SqliteStore
from headgate_shell.backends.base import ConnectionSettings
from headgate_shell.backends.store import StoreBackend
from headgate_shell.commands.dispatch import run_command
from headgate_shell.interactive.history import redacted_entry
from headgate_shell.interactive.loop import _print_paged as show
from headgate_shell.interactive.loop import interact
from headgate_shell.output.render import render
from headgate_shell.session import Session
from headgate_shell.terminal import CommandFailed, Terminal
from support.recorder_upstream import recorder
from support.servers import Server
from support.waiting import free_port, poll_until


def typed(server: Server, *lines: str, username: str = "root", password: str = "Toor-1") -> Session:
    """Types *lines*, each with Enter, then Ctrl-D; returns the session."""
    session = Session(ConnectionSettings("127.0.0.1", server.port, username, password))
    session.server_version = "1.8.10"
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        keys.send_text("".join(line + "\r" for line in lines) + "\x04")
        assert interact(session) == 0
    return session


@pytest.mark.slow
def test_statements_and_commands(
    metrics_server: Server, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(metrics_server, "SHOW USERS", "", "use metrics", "exit", "SHOW DATABASES")
    shown = capsys.readouterr().out
    assert shown.startswith(f"Connected to http://127.0.0.1:{metrics_server.port} version 1.8")
    assert "alice false\n" in shown and "Using database metrics\n" in shown
    assert "name: databases" not in shown


@pytest.mark.slow
def test_auth_checks_the_login_and_keeps_the_old_one_if_it_is_wrong(
    metrics_server: Server, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = typed(
        metrics_server, "auth", "alice", "wrong", "SHOW USERS", "auth alice wonder", "auth", ""
    )
    shown = capsys.readouterr().out
    assert "ERR: authorization failed\n" in shown
    assert "alice false\n" in shown  # the login is still root
    assert "Logged in as alice\n" in shown and "ERR: no login given" in shown
    assert (session.connection.username, session.connection.password) == ("alice", "wonder")


@pytest.mark.slow
def test_auth_asks_for_what_is_not_given(metrics_server: Server, home: Path) -> None:
    session = typed(metrics_server, "AUTH", "alice", "wonder")
    assert (session.connection.username, session.connection.password) == ("alice", "wonder")


@pytest.mark.slow
def test_ones_own_new_password_is_used_at_once(
    metrics_server: Server, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = typed(metrics_server, "SET PASSWORD FOR root = 'new one'", "SHOW USERS")
    assert session.connection.password == "new one"
    assert "alice false" in capsys.readouterr().out


@pytest.mark.slow
def test_a_lost_server_is_said_plainly(
    metrics_server: Server, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics_server.stop()
    typed(metrics_server, "SET PASSWORD FOR root = 'Zk7'")
    shown = capsys.readouterr().out
    assert "ERR: cannot reach http://127.0.0.1" in shown and "connection refused" in shown
    assert "Zk7" not in shown


@pytest.mark.slow
def test_no_password_is_in_the_history_and_it_is_for_its_owner_only(
    metrics_server: Server, home: Path
) -> None:
    typed(
        *(metrics_server, "auth alice Zk7a", "AUTH alice Zk7b", "auth", "alice", "Zk7c", "Zk7d"),
        *("SET PASSWORD FOR alice='Zk7e'", "CREATE USER b WITH PASSWORD 'two Zk7f'"),
        *("CREATE USER c WITH PASSWORD 'Zk7g", "SHOW USERS", "\x1b[A\x1b[A"),
    )
    history = home / ".headgate_history"
    text = history.read_text()
    assert "Zk7" not in text and "auth" not in text.lower()
    assert "SET PASSWORD FOR alice=[REDACTED]" in text and "SHOW USERS" in text
    assert stat.S_IMODE(history.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("line", "rest"),
    [
        ("SHOW USERS", "SHOW USERS"),
        ("use metrics", "use metrics"),
        ("auth", ""),
        ("  AUTH a b", ""),
        ("auth;", ""),
        ("hunter2", ""),
        ("watch auth todd hunter2", ""),
        ("\\e auth todd hunter2", ""),
        ("use x; AUTH todd hunter2", ""),
        ("connect todd:hunter2@host", ""),
        ("connect host:8086", "connect host:8086"),
        ("create user todd identified by hunter2", ""),
        ("create user todd hunter2", ""),
        ("SHOW USERS; auth todd hunter2", ""),
        ("SET PASSWORD todd hunter2", ""),
        ("SET PASWORD FOR todd = hunter2", ""),
        ("CREATE USR todd WITH PASSWD hunter2", ""),
        ("ALTER USR todd pw hunter2", ""),
        ("\\e create user todd with pasword hunter2", ""),
        ("watch 5 set pass for todd = hunter2", ""),
        ("\\watch set pass for todd = hunter2", ""),
        ("watch 5 SHOW USERS", "watch 5 SHOW USERS"),
        ("CREATE DATABASE x", "CREATE DATABASE x"),
        ("CREATE USER a WITH PASSWORD 'x'", "CREATE USER a WITH PASSWORD [REDACTED]"),
        ("SHOW GRANTS FRO todd", "SHOW GRANTS FRO todd"),
        ("", ""),
        ("SET PASSWORD FOR a = 'x'", "SET PASSWORD FOR a = [REDACTED]"),
    ],
)
def test_the_history_keeps_statements_and_commands_without_passwords(line: str, rest: str) -> None:
    assert redacted_entry(line) == rest


@pytest.mark.slow
def test_a_home_that_cannot_be_written_is_no_reason_to_stop(
    metrics_server: Server,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HEADGATE_HISTFILE", str(home / "nowhere" / "history"))
    typed(metrics_server, "SHOW USERS")
    shown = capsys.readouterr().out
    assert "WARN: no history" in shown and "alice false" in shown


@pytest.mark.slow
def test_what_would_be_lost_is_asked_about(
    metrics_server: Server, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(
        metrics_server, "DROP USER alice", "", "DROP USER alice", "n", "DROP DATABASE metrics", "y"
    )
    assert capsys.readouterr().out.count("Not done.\n") == 2
    assert metrics_server.query("SHOW USERS").rows() == [["root", True], ["alice", False]]
    assert "values" not in metrics_server.query("SHOW DATABASES").json["results"][0]["series"][0]


@pytest.mark.slow
def test_a_statement_goes_on_until_it_is_complete(
    metrics_server: Server, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(
        metrics_server,
        "SHOW GRANTS",
        "FOR alice",
        "format markdown",
        "SHOW DATABASES",
        "timing",
        "\\l",
    )
    shown = capsys.readouterr().out
    assert "metrics  READ\n" in shown
    assert "**databases**\n\n| name |\n| --- |\n| metrics |\n" in shown
    assert "Timing enabled\n" in shown and "Time: 0." in shown


@pytest.mark.slow
def test_a_new_password_is_asked_for_twice_and_kept_nowhere(
    metrics_server: Server, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = typed(
        metrics_server,
        *("\\password alice", "one-Zk7", "two-Zk7", "\\password alice", "new'\"Zk7", "new'\"Zk7"),
        *("\\password", "Ro0t-Zk7", "Ro0t-Zk7", "\\du alice"),
        *("\\password alice", "", "\\password nobody", "Zk7", "Zk7"),
    )
    shown = capsys.readouterr().out
    assert "ERR: the two passwords differ: nothing changed\n" in shown
    assert "ERR: the password is empty: nothing changed\n" in shown
    assert "ERR: user not found: nobody\n" in shown
    assert "New password set for alice\nNew password set for root\n" in shown
    assert "metrics  READ" in shown and session.connection.password == "Ro0t-Zk7"
    assert metrics_server.query("SHOW DATABASES", ("alice", "new'\"Zk7")).status == 200
    assert all("Zk7" not in path.read_text() for path in home.rglob(".headgate*"))


@pytest.mark.slow
def test_a_user_lists_their_own_grants_and_sets_their_own_password(
    metrics_server: Server, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = typed(
        metrics_server,
        *("\\du", "\\du alice", "\\password", "new-Zk7", "new-Zk7", "\\l"),
        *("\\password", "x" * 73, "x" * 73, "\\du root", "\\password root", "Zk7", "Zk7"),
        username="alice",
        password="wonder",
    )
    shown = capsys.readouterr().out
    assert shown.count("metrics  READ\n") == 2
    assert "New password set for alice\n" in shown and session.connection.password == "new-Zk7"
    assert "ERR: bcrypt: password length exceeds 72 bytes\n" in shown
    assert shown.count("requires admin privilege") == 2  # about root
    assert metrics_server.query("SHOW DATABASES", ("alice", "new-Zk7")).status == 200
    assert metrics_server.query("SHOW USERS", ("root", "Toor-1")).status == 200


@pytest.mark.slow
def test_a_denied_statement_about_oneself_names_the_command_for_it(
    metrics_server: Server, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = 'o"d\\ é'
    quoted = '"o\\"d\\\\ é"'
    metrics_server.query(f"CREATE USER {quoted} WITH PASSWORD 'odd'")
    for username, text, password in (("alice", "alice", "wonder"), (name, quoted, "odd")):
        lines = (
            f"SHOW GRANTS FOR {text}",
            f"SET PASSWORD FOR {text} = 'x'",
            "SHOW GRANTS FOR root",
        )
        session = typed(metrics_server, username=username, password=password)
        session.to_terminal = True
        hints = [render(session.query(line), session).splitlines()[1:] for line in lines]
        assert hints == [
            ["On Headgate, `\\du` lists your own grants."],
            ["On Headgate, `\\password` sets your own password."],
            [],
        ]
        session.to_terminal = False
        assert "On Headgate" not in render(session.query(lines[0]), session)


@pytest.mark.slow
@pytest.mark.parametrize("on_store", [False, True])
def test_privileges_are_listed_of_all_of_a_user_and_on_a_database(
    metrics_server: Server, home: Path, capsys: pytest.CaptureFixture[str], on_store: bool
) -> None:
    lines = ("format csv", "\\dp", "\\dp alice", "\\dp metrics", "\\dp nothing")
    if on_store:
        with closing(SqliteStore(metrics_server.store, create=False)) as store:
            session = Session()
            session.backend = StoreBackend(Engine(store))
            for line in lines:
                run_command(line, session, Terminal(sys.stdout.write, interactive=True))
    else:
        typed(metrics_server, *lines)
    shown = capsys.readouterr().out
    everyone = "user,admin,grants\nroot,true,\nalice,false,READ on metrics\n"
    on_database = "user,admin,privilege\nroot,true,ALL PRIVILEGES\nalice,false,READ\n"
    assert everyone in shown and on_database in shown
    assert "user,admin,grants\nalice,false,READ on metrics\n" in shown
    assert "ERR: no user and no database has the name nothing\n" in shown


@pytest.mark.slow
def test_another_user_or_server_lists_no_privileges(
    metrics_server: Server, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(metrics_server, "\\dp", username="alice", password="wonder")
    assert "requires admin privilege" in capsys.readouterr().out
    with recorder() as other:
        other.reply = lambda heard: (404, {}, b"404 page not found")
        session = Session(ConnectionSettings("127.0.0.1", int(other.url.rpartition(":")[2])))
        with pytest.raises(CommandFailed, match="Headgate does"):
            run_command("\\dp", session, Terminal(sys.stdout.write))


@pytest.mark.slow
def test_what_changes_something_is_not_watched(
    metrics_server: Server, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(
        metrics_server,
        "watch DROP DATABASE metrics",
        "watch SHOW DATABASES; DROP DATABASE metrics",
        "watch SELECT * INTO copy FROM cpu",
        "watch 0 SHOW USERS",
        "watch",
    )
    shown = capsys.readouterr().out
    assert shown.count("ERR: watch: only SHOW, EXPLAIN, and SELECT without INTO\n") == 2
    assert "ERR: watch: one statement only, without `;` in it\n" in shown
    assert "ERR: watch: expected 0.1 to 86400 seconds\nERR: watch: expected a statement" in shown


@pytest.mark.slow
def test_a_password_that_is_missing_or_wrong_is_asked_for(
    metrics_server: Server, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = typed(
        metrics_server, "wrong", "wonder", "SHOW DATABASES", username="alice", password=""
    )
    shown = capsys.readouterr().out
    assert "ERR: authorization failed\n" in shown and "\nmetrics\n" in shown
    assert (session.connection.username, session.connection.password) == ("alice", "wonder")
    typed(metrics_server, "wonder", "SHOW USERS", username="alice", password="from the environment")
    assert "requires admin privilege" in capsys.readouterr().out


@pytest.mark.slow
def test_a_missing_login_is_reported(
    metrics_server: Server, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(metrics_server, "auth alice wonder", "SHOW DATABASES", username="", password="")
    shown = capsys.readouterr().out
    assert "ERR: unable to parse authentication credentials\n`auth` logs in.\n" in shown
    assert "\nmetrics\n" in shown
    typed(metrics_server, "1", "2", "3", "exit", username="alice", password="")
    assert capsys.readouterr().out.count("ERR: authorization failed\n") == 3


@pytest.mark.slow
def test_a_statement_is_written_in_an_editor(
    metrics_server: Server,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    editor = home / "editor"
    editor.write_text("#!/bin/sh\nstat -c %a $1 >> modes\nsed -i s/GRANT/GRANTS/ $1\n")
    editor.chmod(0o700)
    monkeypatch.setenv("VISUAL", str(editor))
    monkeypatch.chdir(home)
    session = Session(ConnectionSettings("127.0.0.1", metrics_server.port, "root", "Toor-1"))
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        keys.send_text("\\e SHOW GRANT FOR alice\r")

        def go_on() -> None:
            poll_until((home / "modes").exists, "the editor was not started")
            keys.send_text("\r\x04")

        typist = threading.Thread(target=go_on)
        typist.start()
        assert interact(session) == 0
        typist.join(20)
    assert "metrics  READ" in capsys.readouterr().out
    assert (home / "modes").read_text() == "600\n"


@pytest.mark.slow
def test_another_server_is_gone_to_only_if_it_is_there(
    metrics_server: Server, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = typed(metrics_server, f"connect 127.0.0.1:{free_port()}", "SHOW DATABASES")
    shown = capsys.readouterr().out
    assert "ERR: cannot reach http://127.0.0.1:" in shown and "metrics" in shown
    assert session.connection.port == metrics_server.port


@pytest.mark.parametrize("pager", ["less '", " ", "/no/such/program"])
def test_a_pager_that_cannot_be_is_no_reason_to_stop(
    pager: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PAGER", pager)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    show("line\n" * 500, paged=True)
    assert capsys.readouterr().out == "line\n" * 500


@pytest.mark.slow
def test_a_history_of_no_length_is_no_file(metrics_server: Server, home: Path) -> None:
    (home / ".config" / "headgate").mkdir(parents=True)
    (home / ".config" / "headgate" / "shell.toml").write_text("history-length = 0\n")
    typed(metrics_server, "SHOW USERS")
    assert not (home / ".headgate_history").exists()
