"""The same texts to our parser and to a real influxd's: they agree, but for what is mended."""

from contextlib import closing
from pathlib import Path

from fuzz_grammar import Judge, compare
from support.influxd import Influxd, needs_influxd


@needs_influxd
def test_statements_and_mistakes_are_judged_as_influxdb_judges_them(tmp_path: Path) -> None:
    with Influxd(tmp_path) as influxd, closing(Judge(influxd)) as judge:
        report = compare(judge, 2000, seed=11)
    assert report.texts > 1900 and report.refused > 300
    assert report.verdicts == []
    assert report.printed == []
    assert len(report.messages) <= report.refused * 0.02, report.messages
