"""The first day of an operator, with what `make dist` has built: install, start, log in, watch.

    make dist && .venv/bin/python deploy/first_day.py

Installs the wheel by pipx and by uv, makes a store with `headgate init`, starts the command line of
the unit of systemd, logs in, and lets Debian's prometheus scrape the server: each query of
the dashboard must be answered. All in a folder that is removed. Needs Debian's prometheus.
"""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
PORT, PROMETHEUS_PORT = 18987, 18988
PASSWORD = "First-day-1"
CONFIGURATION = f"""\
[http]
bind-address = "127.0.0.1:{PORT}"
workers = 2
"""
# Series that exist only with a shared store, an upstream, or after faults.
RARE = ("store_proof", "store_members", "upstream", "unknown", "conflicts", "reloads", "worker_res")


def run(*command: str | Path, **options: Any) -> str:
    """Returns the output of *command*. Exits with its messages if it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, **options)
    if done.returncode:
        raise SystemExit(f"{shlex.join(words)}: {done.stdout}{done.stderr}")
    return str(done.stdout)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Waits up to 60 s for *condition*."""
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within 60 s: {what}")
        time.sleep(0.2)


def installed(wheel: Path, folder: Path) -> Path:
    """Installs *wheel* by uv, and by pipx. Returns pipx's command."""
    run(BIN / "uv", "venv", "--quiet", "--python", sys.executable, folder / "uv")
    run(BIN / "uv", "pip", "install", "--quiet", "--python", folder / "uv/bin/python", wheel)
    print("uv:", run(folder / "uv/bin/headgate", "--version").strip())
    places = {"PIPX_HOME": str(folder / "pipx"), "PIPX_BIN_DIR": str(folder / "bin")}
    places["PIPX_MAN_DIR"] = str(folder / "man")
    run(BIN / "pipx", "install", "--python", sys.executable, wheel, env=os.environ | places)
    print("pipx:", run(folder / "bin/headgate", "--version").strip())
    assert (folder / "man/man1/headgate-serve.1").exists(), "pipx has no manual pages"
    return folder / "bin/headgate"


def unit_command(headgate: Path, folder: Path) -> list[str]:
    """Returns the command line of the unit, with the paths of this proof."""
    text = (ROOT / "deploy/systemd/headgate.service").read_text("utf-8")
    (line,) = [it for it in text.splitlines() if it.startswith("ExecStart=")]
    replaced = {
        "/opt/headgate/bin/headgate": str(headgate),
        "/etc/headgate": str(folder),
        "/var/lib/headgate": str(folder),
    }
    words = shlex.split(line.removeprefix("ExecStart="))
    for old, new in replaced.items():
        words = [word.replace(old, new) for word in words]
    return words


def started(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """Starts *command* as systemd does, and returns once it has said that it is ready."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(folder / "notify"))
        manager.settimeout(60)
        variables = os.environ | {
            "NOTIFY_SOCKET": manager.getsockname(),
            "WATCHDOG_USEC": "3000000",
        }
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, env=variables, stdout=log, stderr=log)
        try:
            assert manager.recv(1000).startswith(b"READY=1")
            while b"WATCHDOG=1" not in manager.recv(1000):
                continue
        except BaseException:
            process.kill()
            raise
    print("unit: ready, and gives signs of life")
    return process


def query(expression: str) -> list[Any]:
    """Returns the result of *expression* from Prometheus."""
    parameters = urllib.parse.urlencode({"query": expression})
    url = f"http://127.0.0.1:{PROMETHEUS_PORT}/api/v1/query?{parameters}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        result: list[Any] = json.load(answer)["data"]["result"]
    return result


def answers(expression: str) -> bool:
    """Returns whether Prometheus answers, and *expression* has a result."""
    try:
        return bool(query(expression))
    except OSError:
        return False


def watch(folder: Path) -> None:
    """Lets Prometheus scrape the server, and asks it every query of the dashboard."""
    configuration = folder / "prometheus.yml"
    configuration.write_text(
        "global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: headgate\n"
        f'  static_configs: [{{targets: ["127.0.0.1:{PORT}"]}}]\n'
    )
    rules = ROOT / "examples/monitoring/alerts.yml"
    configuration.write_text(configuration.read_text() + f"rule_files: [{str(rules)!r}]\n")
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *("prometheus", f"--config.file={configuration}"),
                *(f"--storage.tsdb.path={folder / 'tsdb'}", "--log.level=error"),
                f"--web.listen-address=127.0.0.1:{PROMETHEUS_PORT}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        wait_for(lambda: answers('up{job="headgate"} == 1'), "a scrape of the server")
        wait_for(lambda: answers("rate(headgate_http_requests_total[30s])"), "two scrapes")
        dashboard = json.loads((ROOT / "examples/monitoring/dashboard.json").read_text("utf-8"))
        expressions = [it["expr"] for panel in dashboard["panels"] for it in panel["targets"]]
        empty = []
        for expression in expressions:
            concrete = expression.replace("$__rate_interval", "30s").replace("$instance", ".*")
            if not query(concrete) and not any(word in concrete for word in RARE):
                empty.append(concrete)
        assert not empty, f"no result: {empty}"
        print(f"dashboard: {len(expressions)} queries answered")
    finally:
        process.terminate()
        process.wait(30)


def main() -> None:
    """Does all of it in a folder, and removes the folder."""
    (wheel,) = [it for it in (ROOT / "dist").glob("headgate-*.whl") if "core" not in it.name]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        headgate = installed(wheel, folder)
        (folder / "headgate.toml").write_text(CONFIGURATION)
        init = (headgate, "init", "--store", folder / "users.db", "--admin", "root")
        print(run(*init, "--password-file", "-", input=f"{PASSWORD}\n").strip())
        process = started(unit_command(headgate, folder), folder)
        try:
            login = {"INFLUX_USERNAME": "root", "INFLUX_PASSWORD": PASSWORD}
            shell = (
                headgate,
                "shell",
                "-port",
                str(PORT),
                "-execute",
                "CREATE DATABASE d; SHOW USERS",
            )
            for _ in range(4):  # the password and the statements are cached then
                assert "root true" in run(*shell, env=os.environ | login).replace("\t", " ")
            print("shell: the first login")
            watch(folder)
        finally:
            process.send_signal(signal.SIGTERM)
            status = process.wait(60)
        assert status == 0, f"SIGTERM ends it with status {status}"
    print("OK")


if __name__ == "__main__":
    main()
