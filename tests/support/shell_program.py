"""Runs `headgate shell` in a process, as scripts do."""

import os
import subprocess
import sys

from support.programs_of_ours import run_headgate
from support.servers import Server

HEADGATE = [sys.executable, "-m", "headgate", "shell"]
LOGIN = ("-username", "root", "-password", "Toor-1")


def shell(
    server: Server | int, *arguments: str, stdin: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs `headgate shell ARGUMENTS` against a server or a port; returns status and output."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("INFLUX_")}
    port = server if isinstance(server, int) else server.port
    where = ("-host", "127.0.0.1", "-port", str(port))
    return run_headgate("shell", *where, *arguments, stdin=stdin, environment=clean | environment)
