"""The program of docs/python.md, block by block."""

import re
from pathlib import Path
from typing import Any

import pytest

from headgate_engine.testing import memory_engine
from support.places import REPOSITORY

PAGE = (REPOSITORY / "docs" / "python.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_blocks_run_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(BLOCKS) == 9
    names: dict[str, object] = {}
    for block in BLOCKS:
        exec(block, names)
    names["engine"].store.close()  # type: ignore[attr-defined]
    test: Any = names["test_a_report_requires_a_grant"]
    test(memory_engine())
