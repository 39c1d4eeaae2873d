"""Checks pages in a browser with axe-core, and that they fit the width of the window."""

import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Page

from support.session_folder import made_once

NPM = shutil.which("npm")
_AXE = "axe-core@4.11"
_SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def axe_script(factory: pytest.TempPathFactory) -> str:
    """Returns the script of axe-core, installed once for all workers of pytest."""
    folder = made_once(factory, "axe", _install)
    return (folder / "node_modules/axe-core/axe.min.js").read_text("utf-8")


def _install(folder: Path) -> None:
    assert NPM is not None, "npm must be installed"
    options = ("--prefer-offline", "--no-package-lock", "--no-audit", "--no-fund")
    command = [NPM, "install", *options, "--loglevel=error", _AXE]
    subprocess.run(command, cwd=folder, check=True, timeout=300)


def check_page(page: Page, script: str, *rules: str) -> None:
    """Asserts that axe, by *script* of `axe_script`, finds nothing on *page*.

    It checks *rules*, or all rules if there are none. The page must not scroll sideways. Its
    context needs `bypass_csp`: the policy of the console's pages forbids the script of axe, but not
    to an extension of the browser.
    """
    page.evaluate(script)
    found = page.evaluate("it => axe.run(it)", {"runOnly": list(rules)} if rules else {})[
        "violations"
    ]
    shown = [(it["id"], [node["html"][:200] for node in it["nodes"]]) for it in found]
    assert not shown, page.url
    assert page.evaluate(_SIDEWAYS) <= 0, f"{page.url} scrolls sideways"
