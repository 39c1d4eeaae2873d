"""What is built from the tree, and from what was built from the tree."""

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
MUST_HOLD = {
    "headgate_grammar/influxql.lark",
    *(f"{package}/py.typed" for package in ("headgate", "headgate_grammar", "headgate_engine")),
    *(f"{package}/py.typed" for package in ("headgate_server", "headgate_shell")),
    "headgate/__main__.py",
}


def build(kind: str, source: Path, target: Path) -> Path:
    command = [sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "-o", str(target)]
    done = subprocess.run(
        [*command, str(source)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return next(iter(sorted(target.iterdir())))


def test_a_wheel_from_the_sdist_holds_what_a_wheel_from_the_tree_holds(tmp_path: Path) -> None:
    sdist = build("sdist", ROOT, tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    one = build("wheel", unpacked, tmp_path / "from-sdist")
    other = build("wheel", ROOT, tmp_path / "from-tree")
    with zipfile.ZipFile(one) as first, zipfile.ZipFile(other) as second:
        names = set(first.namelist())
        assert names == set(second.namelist())
    assert names >= MUST_HOLD
    assert {name.split("/")[0].split("-")[0] for name in names} == {
        *("headgate", "headgate_engine", "headgate_grammar", "headgate_server", "headgate_shell")
    }


def test_libraries_with_private_parts_in_use_have_an_upper_bound() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for name in ("uvicorn", "prometheus-client"):
        (found,) = (one for one in project["dependencies"] if re.match(name + r"\b", one))
        assert re.search(r">=[\d.]+,<[\d.]+$", found), found


def test_the_quick_start_names_its_own_port_in_each_line() -> None:
    """A port without a name could be that of an influxd on the same machine."""
    text = (ROOT / "README.md").read_text("utf-8")
    start = text.partition("## Quick start\n")[2].partition("\n## ")[0]
    lines = [line for line in start.splitlines() if re.match(" {4}(curl|headgate) ", line)]
    assert len(lines) >= 8
    assert all("8087" in line and "8086" not in line for line in lines), lines


def test_make_serve_leaves_the_port_of_influxdb_alone() -> None:
    recipe = (ROOT / "Makefile").read_text("utf-8").partition("\nserve:")[2].partition("\n\n")[0]
    assert re.search(r"serve --bind 127\.0\.0\.1:(?!8086 )\d+ ", recipe)
