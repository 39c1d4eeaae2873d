"""Commands of the interactive shell alone, and what a person reads beside a response."""

import stat
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from headgate_shell.backends.base import ConnectionSettings
from headgate_shell.go_flags import FlagError
from headgate_shell.interactive.completion import complete_input
from headgate_shell.interactive.completion_names import CompletionNames
from headgate_shell.interactive.loop import interact
from headgate_shell.profiles import with_profile
from headgate_shell.session import Session
from support.servers import Server


def typed(server: Server, *lines: str, to_terminal: bool = True, confirm: bool = False) -> None:
    """Types *lines*, each with Enter, then Ctrl-D, as root."""
    session = Session(ConnectionSettings("127.0.0.1", server.port, "root", "Toor-1"))
    session.server_version, session.to_terminal, session.use_pager = "1.8.10", to_terminal, False
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        keys.send_text("".join(line + "\r" for line in lines) + "\x04")
        assert interact(session, confirm=confirm) == 0


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    """Returns what was printed after the greeting."""
    return capsys.readouterr().out.partition("`help`\n")[2]


@pytest.mark.slow
def test_a_file_is_run_line_by_line(
    metrics_server: Server, home: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    inner, outer = tmp_path / "inner.influxql", tmp_path / "outer.influxql"
    inner.write_text("# a comment\nCREATE DATABASE from_file\n\n")
    outer.write_text(f"\\i {inner}\nSHOW DATABASES\nuse from_file\n")
    typed(metrics_server, f"\\i {outer}", "\\i", "\\i /no/such/file")
    text = shown(capsys)
    assert "created\n" in text and "from_file\n" in text and "Using database from_file" in text
    assert "ERR: \\i: expected the name of a file\n" in text
    assert "ERR: \\i /no/such/file: No such file or directory\n" in text


@pytest.mark.slow
def test_a_statement_of_several_lines_in_a_file_is_one(
    metrics_server: Server, home: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "statements"
    text = "CREATE USER zoe\n  WITH PASSWORD 's3cret-1'\nSET PASSWORD FOR zoe = 'a\x85b-1'\n"
    path.write_text(f"\ufeff{text}", encoding="utf-8")
    typed(metrics_server, f"\\i {path}", "SHOW USERS")
    text = shown(capsys)
    assert "created\npassword set\n" in text and "zoe" in text and "ERR" not in text


@pytest.mark.slow
@pytest.mark.parametrize("ending", [" \\G", "\\G", "\\G;"])
def test_a_statement_with_a_line_for_each_value_is_confirmed_as_others(
    metrics_server: Server, home: Path, capsys: pytest.CaptureFixture[str], ending: str
) -> None:
    lines = (f"DROP USER alice{ending}", "no", "SHOW USERS")
    typed(metrics_server, *lines, confirm=True)
    text = shown(capsys)
    assert "Not done.\n" in text and "alice false" in text


@pytest.mark.slow
def test_a_file_ends_where_a_confirmation_is_aborted(
    metrics_server: Server, home: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "statements"
    path.write_text("DROP USER alice\nCREATE DATABASE never\n")
    typed(metrics_server, f"\\i {path}\r\x03", "SHOW DATABASES", confirm=True)
    text = shown(capsys)
    assert "ERR: not done, nor the rest of the file\n" in text and "never" not in text


@pytest.mark.slow
def test_a_full_disk_and_odd_paths_end_no_shell(
    metrics_server: Server, home: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    lines = ("\\o /dev/full", "SHOW USERS", "SHOW DATABASES", f"\\o {kept}", "\\o /no/folder/x")
    typed(metrics_server, *lines, "SHOW USERS")
    text = shown(capsys)
    assert "ERR: \\o: No space left on device; results go to the terminal\n" in text
    assert "name: databases" in text
    assert "alice false" in kept.read_text(), "the former file stays after an error"


@pytest.mark.slow
def test_a_file_that_runs_itself_ends(
    metrics_server: Server, home: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "again"
    path.write_text(f"\\i {path}\n")
    typed(metrics_server, f"\\i {path}")
    assert "more than 10 files, one in another" in shown(capsys)


@pytest.mark.slow
def test_results_go_to_a_file_of_the_owner_until_they_do_not(
    metrics_server: Server, home: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "results"
    lines = (f"\\o {path}", "SHOW USERS", "SHOW GRANTS FOR nobody_here", "\\o", "SHOW DATABASES")
    typed(metrics_server, *lines, "\\o /no/such/folder/x")
    text = shown(capsys)
    assert "alice false" in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "alice false" not in text and "name: databases" in text
    assert "ERR: user not found" in text, "an error is seen at once"
    assert "ERR: \\o /no/such/folder/x: No such file or directory" in text


@pytest.mark.slow
def test_conninfo_says_the_server_and_the_user(
    metrics_server: Server, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(metrics_server, "\\conninfo", "use metrics", "\\conninfo")
    url = f"http://127.0.0.1:{metrics_server.port}"
    assert f"Connected to {url} version 1.8.10, as root, by password\n" in (text := shown(capsys))
    assert "by password; database metrics\n" in text
    assert "Toor-1" not in text


@pytest.mark.slow
def test_the_syntax_of_a_statement_is_that_of_the_grammar(
    metrics_server: Server, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(metrics_server, "\\h grant", "\\h", "\\h grunt")
    text = shown(capsys)
    assert "GRANT privilege ON IDENT TO IDENT\n" in text
    assert "  privilege: READ | WRITE | ALL [PRIVILEGES]\n" in text
    assert "SHOW USERS\n" in text
    assert "ERR: \\h grunt: no statement begins so: `\\h` lists all\n" in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("\\dt", "unknown command \\dt, did you mean \\d"),
        ("\\conifo", "unknown command \\conifo, did you mean \\conninfo?"),
        ("\\zzzzz", "unknown command \\zzzzz: see `help`"),
        ("\\", "unknown command \\"),
    ],
)
def test_an_unknown_command_is_answered_here(
    metrics_server: Server,
    home: Path,
    capsys: pytest.CaptureFixture[str],
    line: str,
    answer: str,
) -> None:
    typed(metrics_server, line)
    assert f"ERR: {answer}" in shown(capsys)


@pytest.mark.slow
def test_a_result_is_shown_with_a_line_for_each_value(
    metrics_server: Server, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(metrics_server, "SHOW USERS \\G", "SHOW USERS\\G;")
    assert shown(capsys).count("-- row 1\nuser   root\nadmin  true\n") == 2


@pytest.mark.slow
def test_success_is_said_to_a_person(
    metrics_server: Server, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    statements = (
        "CREATE USER zed WITH PASSWORD 's3cret-1'",
        "GRANT READ ON metrics TO zed; GRANT WRITE ON metrics TO zed;"
        " REVOKE READ ON metrics FROM zed",
        "SET PASSWORD FOR zed = 's3cret-2'",
        "DROP USER zed",
    )
    typed(metrics_server, *statements)
    text = shown(capsys)
    for word in ("created\n", "granted\nrevoked\n", "password set\n", "dropped\n"):
        assert word in text
    typed(metrics_server, *statements, to_terminal=False)
    assert "created" not in shown(capsys), "influx's bytes where no person reads"


@pytest.mark.slow
def test_several_results_have_the_statement_as_a_title(
    metrics_server: Server, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(metrics_server, "SHOW USERS; SHOW GRANTS FOR alice")
    text = shown(capsys)
    assert "SHOW USERS\nuser" in text and "SHOW GRANTS FOR alice\ndatabase privilege" in text


@pytest.mark.slow
def test_a_misspelt_word_gets_a_suggestion(
    metrics_server: Server, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(metrics_server, "GRNT READ ON metrics TO alice;", "SHOW USRES;", "SHOW;")
    text = shown(capsys)
    assert "Did you mean GRANT?\n" in text and "Did you mean USERS?\n" in text
    assert text.count("Did you mean") == 2


def test_names_are_completed_by_what_they_contain(metrics_server: Server) -> None:
    names = CompletionNames(Session())
    names.users, names.databases = ("production-reader", "alice"), ("metrics",)
    found = complete_input("SHOW GRANTS FOR read", names)
    assert [it.text for it in found] == ['"production-reader"']
    assert [it.text for it in complete_input("SHOW GRANTS FOR al", names)] == ["alice"]
    assert complete_input("SHOW GRANTS FOR xyz", names) == []


@pytest.mark.parametrize(
    ("given", "flags"),
    [
        ({"url": "http://a:8087"}, {"host": "a", "port": 8087, "ssl": False}),
        ({"url": "https://a"}, {"host": "a", "port": 443, "ssl": True}),
        (
            {"url": "https://todd@[::1]:1/x/y", "port": 2},
            {"host": "::1", "port": 2, "ssl": True, "path-prefix": "/x/y", "username": "todd"},
        ),
    ],
)
def test_a_url_stands_for_flags(given: dict[str, str | int], flags: dict[str, str | int]) -> None:
    assert with_profile(given) == flags


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://a", "expected http://HOST:PORT"),
        ("a:8086", "expected http://HOST:PORT"),
        ("http://a:x", "invalid URL"),
        ("http://todd:Zk7@a", "a password in a URL is visible"),
        ("http://a?u=b", "expected http://HOST:PORT"),
    ],
)
def test_a_bad_url_is_a_sentence_without_the_url(url: str, words: str) -> None:
    with pytest.raises(FlagError, match=words) as raised:
        with_profile({"url": url})
    assert "Zk7" not in str(raised.value)


def test_a_profile_stands_for_flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "shell.toml"
    path.write_text(
        '[profiles.eu]\nurl = "https://eu.example"\nusername = "todd"\nformat = "csv"\n'
        '[profiles.bad]\npassword = "Zk7"\n'
    )
    monkeypatch.setenv("HEADGATE_SHELL_CONFIG", str(path))
    found = with_profile({"profile": "eu", "format": "json"})
    assert (found["host"], found["ssl"], found["username"], found["format"]) == (
        *("eu.example", True, "todd", "json"),
    )
    other = with_profile({"profile": "eu", "url": "http://bob@other:1"})
    assert (other["host"], other["port"], other["username"], other["ssl"]) == (
        *("other", 1, "bob", False),
    )
    with pytest.raises(FlagError, match="it has: bad, eu"):
        with_profile({"profile": "us"})
    with pytest.raises(FlagError, match="password: expected one of url") as raised:
        with_profile({"profile": "bad"})
    assert "Zk7" not in str(raised.value)
