"""The fixture of headgate_engine.testing, in the tests of another program."""

import os
import subprocess
import sys
from pathlib import Path

from support.places import REPOSITORY

TEST = """\
def test_it(headgate_engine):
    headgate_engine.create_user("todd", "s3cret")
    assert headgate_engine.authenticate("todd", "s3cret").name == "todd"


def test_each_test_has_an_engine_of_its_own(headgate_engine):
    assert not headgate_engine.users()
"""


def test_another_programs_tests_use_the_fixture(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["headgate_engine.testing"]\n')
    (tmp_path / "test_program.py").write_text(TEST)
    folders = [str(REPOSITORY / name) for name in ("grammar", "engine")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:schemathesis", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(folders)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout + done.stderr
