"""What is built from the tree, and from what was built from the tree."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
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
