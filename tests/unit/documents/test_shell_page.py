"""Compares docs/shell.md with the commands, settings and pictures of the shell."""

import re
from pathlib import Path

from headgate_shell.commands.dispatch import COMMANDS
from headgate_shell.interactive.shell_settings import Config, read_config
from support.places import REPOSITORY

DOCS = REPOSITORY / "docs"
PAGE = (DOCS / "shell.md").read_text()


def test_the_settings_that_are_shown_can_be_set(tmp_path: Path) -> None:
    block = PAGE.split("## Settings file")[1].split("## All commands")[0]
    lines = [line[4:] for line in block.splitlines() if line.startswith("    ")]
    path = tmp_path / "shell.toml"
    path.write_text("\n".join(lines))
    config, wrong = read_config(path)
    assert wrong == [] and config != Config()


def test_every_picture_is_shown_once() -> None:
    shown = re.findall(r"\(screens/(\w+)\.svg\)", PAGE)
    assert sorted(shown) == sorted(path.stem for path in (DOCS / "screens").glob("*.svg"))


def test_every_command_is_told_of() -> None:
    assert [name for name in COMMANDS if name not in PAGE and name not in ("quit", "exit")] == []
