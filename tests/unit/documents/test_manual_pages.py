"""The manual pages in shell/man are those of the parsers, and their examples are valid."""

import importlib.util
import shlex
from types import ModuleType
from typing import Any

import pytest

from headgate.commands import COMMANDS
from support.places import REPOSITORY


@pytest.fixture(scope="module")
def man_pages() -> ModuleType:
    path = REPOSITORY / "docs" / "man_pages.py"
    spec = importlib.util.spec_from_file_location("man_pages", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_manual_pages_are_those_of_the_parsers(man_pages: ModuleType) -> None:
    written = {path.name: path.read_text("utf-8") for path in man_pages.FOLDER.glob("*.1")}
    assert written == man_pages.pages(), "run: make man-pages"


def test_the_examples_have_valid_flags(man_pages: ModuleType) -> None:
    sections: dict[str, dict[str, Any]] = man_pages.SECTIONS
    examples = [example for found in sections.values() for example, _ in found.get("EXAMPLES", ())]
    for example in examples:
        program, name, *words = shlex.split(example.partition("<")[0])
        command = importlib.import_module(f"headgate.{COMMANDS[name].module}")
        command.command_parser().parse(words)  # SystemExit for an invalid one
        assert program == "headgate"
    assert len(examples) > 10
