"""Completions of commands and flags, in the shells themselves."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from headgate.completion import main

BASH = """
source completions
COMP_WORDS=({words})
COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_headgate
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
# The words of a line, and some of the words that complete the last one.
CASES = [
    (["headgate", "ke"], {"key"}),
    (["headgate", "key", ""], {"create", "list", "rotate", "revoke", "check"}),
    (["headgate", "key", "create", "--gr"], {"--grant"}),
    (["headgate", "key", "--json", "list", "--unu"], {"--unused"}),
    (["headgate", "completion", ""], {"bash", "zsh", "fish"}),
    (["headgate", "serve", "--conf"], {"--config"}),
    (["headgate", "serve", "--config", "head"], {"headgate.toml"}),
    (["headgate", "store", "check", "head"], {"headgate.toml"}),
    (["headgate", "shell", "-po"], {"-port"}),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "headgate.toml").touch()
    return tmp_path


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main([shell]) == 0
    return capsys.readouterr().out


def needed(program: str) -> str:
    found = shutil.which(program)
    if found is None and "CI" not in os.environ:
        pytest.skip(f"{program} is not installed")
    assert found is not None
    return found


@pytest.mark.parametrize(("words", "expected"), CASES)
def test_bash_completes(
    words: list[str], expected: set[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "completions").write_text(script("bash", capsys))
    text = BASH.format(words=" ".join(f"'{word}'" for word in words))
    done = subprocess.run(["bash", "-c", text], cwd=folder, capture_output=True, text=True)
    assert not done.stderr
    assert set(done.stdout.split()) == expected


def test_bash_completes_no_value_that_it_cannot_know(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "completions").write_text(script("bash", capsys))
    text = BASH.format(words="headgate serve --bind ''")
    done = subprocess.run(["bash", "-c", text], cwd=folder, capture_output=True, text=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize(("words", "expected"), CASES)
def test_fish_completes(
    words: list[str], expected: set[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fish = needed("fish")
    (folder / "completions").write_text(script("fish", capsys))
    text = f"source completions; complete -C '{' '.join(words)}'"
    environment = os.environ | {"HOME": str(folder)}
    done = subprocess.run(
        [fish, "-N", "-c", text], cwd=folder, capture_output=True, text=True, env=environment
    )
    assert not done.stderr
    assert {line.partition("\t")[0] for line in done.stdout.splitlines()} == expected


def test_zsh_reads_the_commands_and_flags(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zsh = needed("zsh")
    (folder / "completions").write_text(script("zsh", capsys))
    text = """
        autoload -U compinit; compinit -D; source ./completions
        echo $_comps[headgate]
        _headgate_commands ' key'; _headgate_flags ' serve'
    """
    done = subprocess.run([zsh, "-fc", text], cwd=folder, capture_output=True, text=True)
    assert not done.stderr
    first, *rest = done.stdout.splitlines()
    assert first == "_headgate"
    assert "create:make a key, and print it" in rest
    assert [line for line in rest if line.startswith("--config:")]
