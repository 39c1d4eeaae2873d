"""The parser's table is cached in a folder that only the user can write to; it is optional."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SHOW = "import headgate_grammar; print(headgate_grammar.parse('SHOW USERS')[0])"


def show(cache: Path) -> str:
    return subprocess.run(
        [sys.executable, "-c", SHOW],
        env=os.environ | {"XDG_CACHE_HOME": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_a_table_is_kept_and_a_damaged_one_is_made_anew(tmp_path: Path) -> None:
    assert show(tmp_path / "cache") == "SHOW USERS\n"
    (table,) = (tmp_path / "cache" / "headgate").iterdir()
    whole = table.stat().st_size
    for content in (b"", table.read_bytes()[:5000], os.urandom(5000)):
        table.write_bytes(content)
        assert show(tmp_path / "cache") == "SHOW USERS\n"
        assert table.stat().st_size > whole / 2


@pytest.mark.parametrize("wrong", ["missing", "open to others", "a file"])
def test_without_a_safe_place_nothing_is_kept(tmp_path: Path, wrong: str) -> None:
    cache = tmp_path / "home" / "cache"
    if wrong == "open to others":
        cache.mkdir(parents=True)
        cache.chmod(0o777)
    if wrong == "a file":
        cache.parent.write_text("")
    assert show(cache) == "SHOW USERS\n"
    assert not list(tmp_path.rglob("influxql-*"))
    assert wrong != "missing" or not cache.parent.exists()
