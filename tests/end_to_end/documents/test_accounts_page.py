"""Runs the recipe of docs/accounts.md with the port of this test."""

from pathlib import Path

import pytest

from harness import free_port
from support.places import REPOSITORY
from support.recipes import recipes, run_recipe

PAGE = (REPOSITORY / "docs" / "accounts.md").read_text()
RECIPES = list(recipes(PAGE))


@pytest.mark.parametrize(("title", "script", "expected"), RECIPES)
def test_a_recipe_does_what_it_says(title: str, script: str, expected: str, tmp_path: Path) -> None:
    script = script.replace(":8087", f":{free_port()}")
    output, errors = run_recipe(script, tmp_path)
    found = output.split("\n")
    assert "\n".join(found[-7:]).strip() == expected.strip(), errors
