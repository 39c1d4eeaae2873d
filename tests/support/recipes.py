"""The recipes of a document: its shell commands, and the output that it shows."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


def recipes(page: str) -> Iterator[Any]:
    """Yields title, commands and expected output of each section of *page* with commands."""
    for section in page.split("\n## "):
        if "```sh\n" in section:
            title = section.partition("\n")[0]
            script, rest = section.partition("```sh\n")[2].split("```\n", 1)
            expected = rest.partition("```text\n")[2].partition("```")[0]
            yield pytest.param(title, script, expected, id=title)


def run_recipe(script: str, folder: Path) -> tuple[str, str]:
    """Runs *script* in *folder*; returns its output and errors. What it starts ends with it."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin"
    shell = subprocess.Popen(
        ["bash", "-c", f"set -e\n{script}\nkill $(jobs -p)\nwait\n"],
        cwd=folder,
        env=os.environ | {"PATH": path, "HEADGATE_AUTH_BCRYPT_COST": "4"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    try:
        return shell.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(shell.pid, signal.SIGKILL)
        raise
