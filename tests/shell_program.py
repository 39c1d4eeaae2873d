"""`headgate shell` as a process, as scripts run it."""

import os
import subprocess
import sys

from harness import Server

HEADGATE = [sys.executable, "-m", "headgate", "shell"]
LOGIN = ("-username", "root", "-password", "Toor-1")


def shell(
    server: Server | int, *arguments: str, stdin: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("INFLUX_")}
    port = server if isinstance(server, int) else server.port
    return subprocess.run(
        [*HEADGATE, "-host", "127.0.0.1", "-port", str(port), *arguments],
        input=stdin,
        env=clean | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
