"""The alert rules and the dashboard in examples/monitoring: valid, and of series that exist."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from headgate_server.telemetry.metrics import Metrics
from support.places import REPOSITORY

FOLDER = REPOSITORY / "examples" / "monitoring"
RULES = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"][0]["rules"]
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())
TARGETS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def series() -> set[str]:
    """Returns the names of the series in a scrape; those of a histogram, too."""
    page = Metrics().render("")[0].decode()
    names = {"headgate_worker_restarts_total"}  # which only several workers have
    for name, kind in re.findall(r"^# TYPE (\w+) (\w+)", page, re.MULTILINE):
        names |= {f"{name}_{end}" for end in ("bucket", "sum", "count")} | {name}
        assert kind in ("counter", "gauge", "histogram", "unknown")
    return names


@pytest.mark.parametrize("expression", [rule["expr"] for rule in RULES] + TARGETS)
def test_each_series_is_in_a_scrape(expression: str) -> None:
    named = set(re.findall(r"\b(?:headgate|process)_\w+", expression))
    assert named <= series() and (named or expression.startswith("up{"))


def checked(path: Path) -> str:
    promtool = shutil.which("promtool")
    if promtool is None and "CI" not in os.environ:
        pytest.skip("Debian's prometheus is not installed")
    done = subprocess.run(
        [promtool or "promtool", "check", "rules", str(path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_promtool_accepts_the_rules() -> None:
    assert f"SUCCESS: {len(RULES)} rules found" in checked(FOLDER / "alerts.yml")


def test_promtool_accepts_the_expressions_of_the_dashboard(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": it.replace("$__rate_interval", "1m")}
        for number, it in enumerate(TARGETS)
    ]
    path = tmp_path / "panels.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"SUCCESS: {len(TARGETS)} rules found" in checked(path)


def test_the_panels_do_not_overlap() -> None:
    places = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(places) == len(set(places)) and max(x for x, _ in places) < 24
