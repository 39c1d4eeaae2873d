"""Reads shell.toml, the user's settings of the shell; keeps the history file short."""

from pathlib import Path

import pytest

from headgate_shell.backends.base import ConnectionSettings
from headgate_shell.interactive.history import RedactedHistory
from headgate_shell.interactive.lexer import STYLES
from headgate_shell.interactive.prompt import prompt_text
from headgate_shell.interactive.shell_settings import Config, config_path, read_config
from headgate_shell.session import Session


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shell.toml"


def test_it_is_where_programs_keep_their_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("HEADGATE_SHELL_CONFIG", raising=False)
    assert config_path() == tmp_path / "headgate" / "shell.toml"
    monkeypatch.setenv("HEADGATE_SHELL_CONFIG", "/dev/null")
    assert read_config(config_path()) == (Config(), [])


def test_without_a_file_there_are_defaults(path: Path) -> None:
    assert read_config(path) == (Config(), [])
    assert read_config(path / "below") == (Config(), [])


def test_every_setting(path: Path) -> None:
    path.write_text(
        'keys = "vi"\nprompt = "{user}@{host}:{port}/{database}> "\nformat = "table"\n'
        "history-length = 7\ntiming = true\npager = false\ntoolbar = false\n"
        '[style]\nkeyword = "bold #ff8800"\n'
    )
    config, wrong = read_config(path)
    assert wrong == []
    assert config == Config(
        keys="vi",
        prompt="{user}@{host}:{port}/{database}> ",
        format="table",
        history_length=7,
        timing=True,
        pager=False,
        toolbar=False,
        style=STYLES | {"keyword": "bold #ff8800"},
    )
    session = Session(ConnectionSettings("db1", 8086, "todd"), database="m")
    assert prompt_text(session, config.prompt) == "todd@db1:8086/m> "


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('keys = "nano"', "keys: expected emacs, vi"),
        ("format = 1", "format: expected json, csv, column, table, vertical, markdown"),
        ('prompt = "{password}> "', "prompt: in braces only user, host, port, database, store"),
        ('prompt = "{user.x}"', "prompt: in braces only user, host, port, database, store"),
        ('prompt = "{user!r}"', "prompt: in braces only user, host, port, database, store"),
        ('prompt = "{"', "prompt: "),
        ("prompt = 1", "prompt: expected a string"),
        ("history-length = -1", "history-length: expected 0 to 1000000"),
        ("history-length = true", "history-length: expected 0 to 1000000"),
        ("timing = 1", "timing: expected true or false"),
        ("[style]\nkeyword = 5", "style: keyword: invalid style: 5"),
        ("prompt = " + "[" * 50_000, "invalid TOML: "),
        ('style = "dark"', "style: expected a table with keyword, name, string"),
        ('[style]\nkeyword = "no-such"', "style: keyword: invalid style: 'no-such'"),
        ("password = 'Zk7'", "password: unknown setting; expected one of keys, prompt, format"),
        ("keys", "invalid TOML: "),
    ],
)
def test_what_cannot_be_is_one_line_and_the_default_holds(
    path: Path, text: str, error: str
) -> None:
    path.write_text(text)
    config, wrong = read_config(path)
    assert config == Config()
    assert len(wrong) == 1 and wrong[0].startswith(f"{path}: {error}") and "\n" not in wrong[0]
    assert "Zk7" not in wrong[0]


def test_what_is_right_holds_beside_what_is_not(path: Path) -> None:
    path.write_text("timing = true\nkeys = 1\n")
    config, wrong = read_config(path)
    assert config.timing and len(wrong) == 1


def test_the_history_is_not_longer_than_wanted(tmp_path: Path) -> None:
    path = tmp_path / "history"
    first = RedactedHistory(path, 10)
    for number in range(30):
        first.append_string(f"use db{number}")
    second = RedactedHistory(path, 10)
    second.append_string("use last")
    first.append_string("use first")  # a shell that started before the truncation
    kept = list(RedactedHistory(path, 100).load_history_strings())
    assert kept == ["use first", "use last", *(f"use db{number}" for number in range(29, 19, -1))]
    assert path.stat().st_mode & 0o777 == 0o600
