"""The commands with their flags, and the completions that are made of them."""

import pytest

from headgate.command_tree import command_tree
from headgate.commands import COMMANDS, usage
from headgate.completion import main


@pytest.mark.slow
def test_each_command_and_each_of_its_flags_has_a_help() -> None:
    tree = command_tree()
    assert [node.words[0] for node in tree.commands] == list(COMMANDS)
    nodes = [node for node in tree.all() if node.words]
    assert [node.words for node in nodes if not node.help] == []
    silent = [(node.words, flag.names) for node in nodes for flag in node.flags if not flag.help]
    assert silent == []


@pytest.mark.parametrize("shell", ["bash", "fish", "zsh"])
def test_completions_name_each_command_and_each_flag(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([shell]) == 0
    text = capsys.readouterr().out
    for node in command_tree().all():
        assert not node.words or node.words[-1] in text
        for flag in node.flags:
            assert all(name.lstrip("-") in text for name in flag.names)


def test_flags_with_files_and_with_choices_are_told_apart() -> None:
    nodes = {node.words: node for node in command_tree().all()}
    flags = {name: flag for flag in nodes["serve",].flags for name in flag.names}
    assert flags["--config"].takes_file
    assert flags["--bind"].value and not flags["--bind"].takes_file
    assert not flags["--check"].value
    assert flags["--gateway.auth.require-exp"].choices == ("true", "false")
    assert nodes["store", "check"].takes_file
    assert ("bash", "") in nodes["completion",].next_words


def test_the_help_lists_each_command() -> None:
    assert [line.split()[0] for line in usage().splitlines() if line.startswith("  ")] == list(
        COMMANDS
    )
