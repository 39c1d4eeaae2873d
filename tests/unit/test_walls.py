"""Which top-level folder may import which package or library, and the maximum length of files."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

from support.imported_names import import_nodes

ROOT = Path(__file__).parent.parent.parent
MAY_IMPORT = {
    "grammar": set[str](),
    "engine": {"grammar"},
    "server": {"grammar", "engine"},
    "shell": {"grammar", "engine"},
}
# For each library, the only top-level folder that may import it.
HOME = {
    "lark": "grammar",
    "re2": "grammar",
    "apsw": "engine",
    "bcrypt": "engine",
    "authlib": "server",
    "bonsai": "server",
    "google": "engine server",
    "grpc": "engine",
    "psycopg": "engine",
    "jinja2": "server",
    "jwt": "server",
    "markupsafe": "server",
    "setproctitle": "server",
    "starlette": "server",
    "uvicorn": "server",
    "websockets": "server",
    "zxcvbn": "server",
    "prompt_toolkit": "shell",
    "wcwidth": "shell",
    "yaml": "shell",
}
LONGEST_FILE = 400
# Files of the shell that import the grammar. Scripts start without these files.
GRAMMAR_ON_DEMAND = ("store.py", "statements.py")


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Yields each top-level package that the file *path* imports, with the line number."""
    for node in import_nodes(path):
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], node.lineno) for alias in node.names)
        else:
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            yield (node.module or "").partition(".")[0], node.lineno


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_downward_only(room: str) -> None:
    allowed = {f"headgate_{name}" for name in MAY_IMPORT[room] | {room}}
    files = list((ROOT / room).glob("headgate_*/**/*.py"))
    assert files
    for path in files:
        for name, line in imports(path):
            ours = name.startswith("headgate")
            assert not ours or name in allowed, f"{path}:{line} imports {name}"
            assert room in HOME.get(name, room).split(), f"{path}:{line} imports {name}"


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_across_a_wall_one_imports_from_the_door(room: str) -> None:
    for path in (ROOT / room).rglob("*.py"):
        for node in import_nodes(path):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("headgate_"):
                package, _, inside = (node.module or "").partition(".")
                # `headgate COMMAND` may import the files of all packages.
                at_home = package == f"headgate_{room}" or path.parent.name == "headgate"
                assert at_home or not inside, f"{path}:{node.lineno} imports {node.module}"


def test_no_file_is_longer_than_one_can_hold_in_the_head() -> None:
    rooms = ("grammar", "engine", "server", "shell", "tests", "examples", "benchmarks")
    for room in rooms:
        for pattern in ("*.py", "*.lark"):
            for path in (ROOT / room).rglob(pattern):
                lines = len(path.read_text("utf-8").splitlines())
                assert lines <= LONGEST_FILE, f"{path} has {lines} lines"


def test_the_script_shell_starts_without_the_libraries_of_the_interactive_one() -> None:
    for path in (ROOT / "shell" / "headgate_shell").rglob("*.py"):
        if path.parent.name != "interactive" and path.name not in GRAMMAR_ON_DEMAND:
            names = {name for name, _ in imports(path)}
            assert not names & {"prompt_toolkit", "headgate_grammar"}, path


def test_each_library_that_is_imported_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    check_declared(project, list(MAY_IMPORT))


def test_the_engine_alone_needs_no_library_of_the_server() -> None:
    whole, core = (
        tomllib.loads((ROOT / file).read_text("utf-8"))["project"]
        for file in ("pyproject.toml", "core/pyproject.toml")
    )
    assert "version" in core["dynamic"]
    assert "version" in whole["dynamic"], "both take it from engine/headgate_engine/version.py"
    assert core["requires-python"] == whole["requires-python"]
    assert set(core["dependencies"]) <= set(whole["dependencies"])
    assert core["optional-dependencies"]["re2"] == whole["optional-dependencies"]["re2"]
    check_declared(core, ["grammar", "engine"])


def check_declared(project: dict[str, Any], rooms: Iterable[str]) -> None:
    """Asserts that *project* declares each library that a file of *rooms* imports."""
    optional = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(one for extra in optional for one in extra)]
    declared = {distribution(re.split(r"[^A-Za-z0-9._-]", text)[0]) for text in wanted}
    installed = packages_distributions()
    for room in rooms:
        for path in (ROOT / room).rglob("*.py"):
            for name, line in imports(path):
                if name not in sys.stdlib_module_names and not name.startswith("headgate"):
                    # A library of an extra may be absent: it then has the name of its package.
                    found = {distribution(one) for one in installed.get(name, [name])}
                    assert found & declared, f"{path}:{line} imports {name}"


def distribution(name: str) -> str:
    """Returns the normalized name of a distribution of PyPI."""
    return re.sub(r"[-_.]+", "-", name).lower()
