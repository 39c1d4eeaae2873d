"""Replays what real programs answered against ours, and holds it to what was reached.

    gate.py FOLDER      FOLDER has replay.py and shell_replay.py, and the recorded scenarios

Prints a line a theme; the exit status is 1 if a theme falls below its floor.
"""

import json
import shlex
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

HEADGATE = shlex.join([sys.executable, "-m", "headgate"])

# Steps passed, per theme of the HTTP scenarios. What is missing up to all of them is /write and
# SELECT without an upstream store, and mends (the README has the table).
HTTP_FLOORS = {
    "01": 71, "02": 234, "03": 25, "04": 43, "05": 183, "06": 35, "07": 85, "08": 30, "09": 119,
    "10": 159, "11": 75, "12": 37, "16": 76, "17": 100, "18": 24, "19": 15, "20": 502,
}  # fmt: skip
SHELL_FLOOR = 0.85


def http(folder: Path) -> bool:
    serve = f"{HEADGATE} serve --bind 127.0.0.1:{{port}} --store {{dir}}/users.db {{flags}}"
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        command = [sys.executable, str(folder / "replay.py"), str(folder / "http"), "--jobs", "2"]
        subprocess.run(
            [*command, "--start", serve, "--json", report.name],
            stdout=subprocess.DEVNULL,
            check=False,
        )
        results = json.load(report)["results"]
    passed, failed = Counter[str](), Counter[str]()
    for scenario in results:
        theme = Path(scenario["file"]).name[:2]
        for step in scenario["steps"]:
            (failed if step["verdict"] == "fail" else passed)[theme] += 1
    good = True
    for theme in sorted(passed | failed):
        floor = HTTP_FLOORS.get(theme, 0)
        good = good and passed[theme] >= floor
        verdict = "" if passed[theme] >= floor else f"  BELOW {floor}"
        print(f"http theme {theme}: {passed[theme]} of {passed[theme] + failed[theme]}{verdict}")
    print(f"http: {passed.total()} passed, {failed.total()} differ")
    return good and bool(results)


def shell(folder: Path) -> bool:
    command = [sys.executable, str(folder / "shell_replay.py"), "--jobs", "2", "--quiet"]
    line = f"{HEADGATE} shell -host {{host}} -port {{port}} {{args}}"
    done = subprocess.run([*command, "--shell", line], capture_output=True, text=True, check=False)
    last = done.stdout.strip().splitlines()[-1]
    passed, failed = (int(word) for word in last.replace(",", "").split() if word.isdigit())
    print(f"shell: {passed} of {passed + failed}")
    return passed >= SHELL_FLOOR * (passed + failed)


if __name__ == "__main__":
    scenarios = Path(sys.argv[1])
    if not scenarios.is_dir():
        sys.exit(f"{scenarios}: no such folder")
    kept = [http(scenarios), shell(scenarios)]
    sys.exit(0 if all(kept) else 1)
