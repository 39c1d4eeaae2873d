"""Runs Debian's shell influx: with arguments, or interactively."""

import os
import shutil
import subprocess

import pexpect
import pytest

from support.servers import Server

INFLUX = shutil.which("influx")
needs_influx = pytest.mark.skipif(
    INFLUX is None and not os.environ.get("CI"), reason="Debian's influxdb-client is not installed"
)


def influx(server: Server, *arguments: str, **environment: str) -> tuple[str, int]:
    """Runs influx with *arguments* against *server*; returns its output and exit status."""
    assert INFLUX is not None, "influxdb-client must be installed"
    done = subprocess.run(
        [INFLUX, "-host", "127.0.0.1", "-port", str(server.port), *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout, done.returncode


def interactive(server: Server, terminal: str) -> "pexpect.spawn[str]":
    """Returns an interactive influx that is connected to *server*, before its first prompt.

    *terminal* is the value of TERM.
    """
    assert INFLUX is not None, "influxdb-client must be installed"
    shell = pexpect.spawn(
        INFLUX,
        ["-host", "127.0.0.1", "-port", str(server.port)],
        env=os.environ | {"TERM": terminal, "HOME": str(server.store.parent)},
        encoding="utf-8",
        timeout=20,
    )
    shell.expect_exact(f"Connected to http://127.0.0.1:{server.port} version 1.8.10")
    return shell


def answer(shell: "pexpect.spawn[str]", statement: str) -> str:
    """Types *statement* into *shell*; returns the output up to the next prompt."""
    shell.sendline(statement)
    shell.expect_exact(statement)
    shell.expect_exact("\n> ")
    return (shell.before or "").strip()
