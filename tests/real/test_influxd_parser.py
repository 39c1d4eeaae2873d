"""The same texts to our parser and to a real influxd's: they agree, but for what is mended."""

import os
import shutil

import pytest

from fuzz_grammar import Influxd, compare

pytestmark = pytest.mark.skipif(
    shutil.which("influxd") is None and not os.environ.get("CI"), reason="influxd is not installed"
)


def test_statements_and_mistakes_are_judged_as_influxdb_judges_them() -> None:
    with Influxd() as influxd:
        report = compare(influxd, 2000, seed=11)
    assert report.texts > 1900 and report.refused > 300
    assert report.verdicts == []
    assert report.printed == []
    assert len(report.messages) <= report.refused * 0.02, report.messages
