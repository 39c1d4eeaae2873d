"""Measures the cost of a request through the gateway, against vmauth and a direct connection.

    PYTHONPATH=tests gateway.py [ROUNDS] [SECONDS]      5 and 3 by default

Needs Debian's nginx, victoria-metrics (which includes vmauth) and wrk. nginx is the upstream and
responds at once. Rounds are interleaved, because other programs use the machine too. CPU is user
and system time of the proxy's process. The target `traced` is a Headgate that exports traces to
nginx; it needs the extra `otel`. Exits with 1 if Headgate:

* uses more than 1.25 times vmauth's CPU for a small request (traced: 1.5 times), or
* grows by more than a tenth in memory under one workload.
"""

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from wrk import rate, wrk

from harness import Server, free_port, poll_until
from support.gateway_fixtures import ANN, TWO

LOGIN = f"Authorization: Basic {b64encode(':'.join(ANN).encode()).decode()}"
_NGINX = """\
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error; {user}
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 100000000; client_body_temp_path {folder}/body;
  client_body_buffer_size 1m; client_max_body_size 0; sendfile on;
  server {{
    listen 127.0.0.1:{port};
    location / {{ default_type application/json; return 200 '{{"status":"success","data":{{}}}}'; }}
    location /api/v1/import {{ proxy_pass http://127.0.0.1:{port}/done; }}
    location /done {{ return 204; }}
    location /api/v1/export {{ root {folder}; try_files /ten =404; }}
  }}
}}
"""
_POST = """\
wrk.method = "POST"
wrk.body = string.rep("x", 100000)
wrk.headers["Content-Type"] = "application/octet-stream"
"""
# CPU for a small request, as a multiple of vmauth's.
_MAX_RATIOS = {"headgate": 1.25, "traced": 1.5}


@dataclass
class Workload:
    """A kind of request, and how wrk sends it."""

    title: str
    path: str
    connections: int
    post: bool = False


WORKLOADS = [
    Workload("small GET", "/api/v1/query?query=up", 32),
    Workload("POST 100 kB", "/api/v1/import", 16, post=True),
    Workload("GET 10 MB", "/api/v1/export", 4),
]


@dataclass
class Target:
    """A port that requests are sent to, and the process that is charged with their CPU time."""

    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """Returns the CPU time used so far, in seconds."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_kib(self) -> int:
        """Returns the resident memory in KiB."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * 4


@contextmanager
def started(command: list[str], port: int) -> Iterator[Target]:
    """Runs *command* until the block ends; yields once it responds on *port*."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    probe = Server(Path("/nonexistent"))
    probe.port = port

    def answers() -> bool:
        assert process.poll() is None, f"{command[0]} ended"
        try:
            return probe.request("GET", "/").status > 0
        except OSError:
            return False

    try:
        poll_until(answers, f"{command[0]} did not start")
        yield Target(port, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


@contextmanager
def start_targets(folder: Path) -> Iterator[dict[str, Target]]:
    """Runs the programs; yields the targets `directly`, `vmauth`, `headgate` and `traced`."""
    store, port = free_port(), free_port()
    user = "user root;" if os.getuid() == 0 else ""
    (folder / "ten").write_bytes(os.urandom(10_000_000))
    text = _NGINX.format(folder=folder, port=store, user=user)
    (folder / "nginx.conf").write_text(text)
    (folder / "auth.yml").write_text(
        f"users:\n- username: {ANN[0]}\n  password: {ANN[1]}\n"
        f"  url_prefix: http://127.0.0.1:{store}/\n"
    )
    nginx = ["nginx", "-e", str(folder / "error"), "-c", str(folder / "nginx.conf")]
    vmauth = ["vmauth", f"-auth.config={folder}/auth.yml", f"-httpListenAddr=127.0.0.1:{port}"]
    quiet = {"HEADGATE_HTTP_LOG_ENABLED": "false"}  # vmauth logs no requests either
    with ExitStack() as stack:
        targets = {
            "directly": stack.enter_context(started(nginx, store)),
            "vmauth": stack.enter_context(started(vmauth, port)),
        }
        for title, options in (
            ("headgate", ""),
            ("traced", f"otlp-endpoint = 'http://127.0.0.1:{store}/v1/traces'\n"),
        ):
            file = folder / f"{title}.toml"
            file.write_text(
                f"[gateway]\nupstream = 'http://127.0.0.1:{store}'\n"
                f"protocol = 'victoriametrics'\n{options}"
            )
            flags = ("--config", str(file), "--max-body-size", "0")
            headgate = Server(folder / f"{title}.db", flags, quiet).start()
            stack.callback(headgate.stop)
            assert headgate.process is not None
            headgate.bootstrap(TWO)
            targets[title] = Target(headgate.port, headgate.process.pid)
        yield targets


def measure(way: Target, work: Workload, seconds: int, script: Path) -> tuple[float, float]:
    """Returns microseconds of CPU per request, and requests per second."""
    before = way.cpu_seconds()
    output = wrk(
        way.port,
        seconds,
        work.connections,
        path=work.path,
        header=LOGIN,
        script=script if work.post else None,
    )
    spent = way.cpu_seconds() - before
    rates = rate(output)
    count = int(output.split(" requests in ")[0].split()[-1])
    return spent / count * 1e6, rates


def main(rounds: int, seconds: int) -> int:
    """Runs the benchmark; returns the exit status."""
    for program in ("nginx", "vmauth", "wrk"):
        if shutil.which(program) is None:
            sys.exit(f"{program} is not installed (Debian: nginx, victoria-metrics, wrk)")
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    with tempfile.TemporaryDirectory() as name, start_targets(Path(name)) as targets:
        script = Path(name) / "post.lua"
        script.write_text(_POST)
        for work in WORKLOADS:
            found[work.title] = {title: [] for title in targets}
            for way in targets.values():
                measure(way, work, 1, script)
            before = targets["headgate"].memory_kib()
            for _ in range(rounds):
                for title, way in targets.items():
                    found[work.title][title].append(measure(way, work, seconds, script))
            after = targets["headgate"].memory_kib()
            show(work, found[work.title])
            print(f"  headgate's memory {before} KiB, then {after} KiB")
            if after > before * 1.1:
                print("  MEMORY GROWS")
                return 1
    small = found["small GET"]
    status = 0
    for title, limit in _MAX_RATIOS.items():
        ratios = [h[0] / v[0] for h, v in zip(small[title], small["vmauth"], strict=True)]
        ratio = statistics.median(ratios)
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(f"small GET, {title}: {ratio:.2f} times vmauth's CPU ({spread})")
        status |= ratio > limit
    print(json.dumps(found))
    return status


def show(work: Workload, found: dict[str, list[tuple[float, float]]]) -> None:
    """Prints the medians of one workload."""
    print(f"{work.title}, {work.connections} connections")
    for title, rounds in found.items():
        cpu, rates = ([one[part] for one in rounds] for part in (0, 1))
        print(
            f"  {title:10} {statistics.median(cpu):8.0f} us CPU ({min(cpu):.0f} to {max(cpu):.0f})"
            f"  {statistics.median(rates):8.0f}/s ({min(rates):.0f} to {max(rates):.0f})"
        )


if __name__ == "__main__":
    arguments = [int(word) for word in sys.argv[1:]]
    sys.exit(main(*(arguments + [5, 3][len(arguments) :])))
