"""Replays recorded answers of InfluxDB against Headgate, and compares the number of differences.

    gate.py FOLDER      FOLDER contains replay.py, shell_replay.py and their scenarios

HTTP scenarios are replayed with two workers, and with an influxd behind the server; pytest replays
them with one worker. tests/http/conformance/test_jwt.py replays the cases for tokens.

The exit status is 1 if a step that is not marked `mended` differs, or if more than SHELL_MISSING
shell cases fail.
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

HEADGATE = shlex.join([sys.executable, "-m", "headgate"])

# Steps with an intended difference from the recorded answer: see docs/differences.md.
MENDED = {
    (scenario["name"], step["id"])
    for path in (Path(__file__).parent / "http").glob("*.json")
    for scenario in json.loads(path.read_text())["scenarios"]
    for step in scenario["steps"]
    if step.get("mended")
}
# Some scenarios drop the last administrator, which InfluxDB allows.
# The scenarios are those of InfluxDB 1.8.
ENVIRONMENT = os.environ | {
    "HEADGATE_AUTH_KEEP_LAST_ADMIN": "false",
    "HEADGATE_HTTP_DIALECT": "1.8",
}
STEPS = 2053
# With an influxd behind: /write without the privilege, invalid header values, a token before SET
# PASSWORD.
MENDED_BEHIND = 15
# The texts of influx's help and usage are not copied.
SHELL_MISSING = 11


def http(folder: Path, workers: int, *, behind: bool = False, program: str = "") -> bool:
    """Replays the HTTP scenarios. With *behind*, an influxd behind the server stores the data.

    *program* takes the arguments of `headgate serve`, which runs by default.
    """
    program = program or f"{HEADGATE} serve"
    if behind:
        program = shlex.join([sys.executable, str(Path(__file__).parent / "behind.py")])
        program += " {dir}/influxd"
    serve = (
        f"{program} --bind 127.0.0.1:{{port}} --store {{dir}}/users.db"
        f" --workers {workers} {{flags}}"
    )
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        command = [sys.executable, str(folder / "replay.py"), str(folder / "http"), "--jobs", "2"]
        subprocess.run(
            [*command, "--start", serve, "--json", report.name],
            stdout=subprocess.DEVNULL,
            env=ENVIRONMENT,
            check=False,
        )
        results = json.load(report)["results"]
    passed, differing = 0, set()
    for scenario in results:
        for step in scenario["steps"]:
            if step["verdict"] == "fail":
                differing.add((scenario["scenario"], step["step"]))
            else:
                passed += 1
    where = "before an influxd" if behind else "alone"
    print(f"http, {workers} workers, {where}: {passed} passed, {len(differing)} differ")
    for name, id in sorted(differing - MENDED):
        print(f"  {name}/{id} differs")
    few = len(differing) <= MENDED_BEHIND if behind else True
    return passed + len(differing) == STEPS and differing <= MENDED and few


def shell(folder: Path) -> bool:
    command = [
        sys.executable,
        str(folder / "shell_replay.py"),
        "--jobs",
        "2",
        "--quiet",
        "--stderr",
    ]
    line = f"{HEADGATE} shell -host {{host}} -port {{port}} {{args}}"
    done = subprocess.run([*command, "--shell", line], capture_output=True, text=True, check=False)
    last = done.stdout.strip().splitlines()[-1]
    passed, failed = (int(word) for word in last.replace(",", "").split() if word.isdigit())
    print(f"shell: {passed} of {passed + failed}")
    return passed > 0 and failed <= SHELL_MISSING


if __name__ == "__main__":
    scenarios = Path(sys.argv[1])
    if not scenarios.is_dir():
        sys.exit(f"{scenarios}: no such folder")
    kept = [
        http(scenarios, 2),
        http(scenarios, 1, behind=True),
        shell(scenarios),
    ]
    sys.exit(0 if all(kept) else 1)
