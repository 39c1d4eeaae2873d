"""The recipes of docs/single-sign-on.md are settings that a server starts with."""

import textwrap
from pathlib import Path

import pytest

from headgate_server.validation.configuration import configure
from support.places import REPOSITORY

PAGE = (REPOSITORY / "docs" / "single-sign-on.md").read_text("utf-8")


def recipes() -> list[str]:
    """Returns the indented blocks of the page that are TOML."""
    found: list[str] = []
    block: list[str] = []
    for line in [*PAGE.splitlines(), "end"]:
        if line.startswith("    ") or (block and not line):
            block.append(line)
            continue
        text = textwrap.dedent("\n".join(block)).strip()
        if text.startswith("["):
            found.append(text)
        block = []
    return found


def test_the_page_has_its_recipes() -> None:
    assert len(recipes()) == 10


@pytest.mark.parametrize("text", recipes(), ids=lambda text: text.splitlines()[-1])
def test_a_recipe_is_accepted(tmp_path: Path, text: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s", "utf-8")
    secret.chmod(0o600)
    lines = [
        f'client-secret-file = "{secret}"' if line.startswith("client-secret-file") else line
        for line in text.splitlines()
    ]
    path = tmp_path / "headgate.toml"
    path.write_text("\n".join(lines), "utf-8")
    configuration = configure({}, {}, str(path))
    assert configuration.warnings == [] and configuration.notices == []
    settings = configuration.settings
    assert settings.oauth or settings.proxy.enabled or settings.anonymous.enabled
