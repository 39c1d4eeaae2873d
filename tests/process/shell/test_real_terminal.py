"""The shell as a process on a real terminal."""

import os
import sys
from pathlib import Path

import pexpect
import pytest

from support.servers import Server

# What says that the shell reads: bracketed paste switched on, or the prompt itself.
PROMPTS = {"xterm": r"\[\?2004h", "dumb": "> "}


@pytest.mark.parametrize("terminal", PROMPTS)
def test_on_a_real_terminal(metrics_server: Server, home: Path, terminal: str) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("INFLUX_")}
    environment |= {"TERM": terminal, "PROMPT_TOOLKIT_NO_CPR": "1"}
    environment |= {"INFLUX_USERNAME": "root", "INFLUX_PASSWORD": "Toor-1"}
    child = pexpect.spawn(
        sys.executable,
        ["-m", "headgate", "shell", "-host", "127.0.0.1", "-port", str(metrics_server.port)],
        env=environment,
        timeout=30,
        encoding="utf-8",
        dimensions=(24, 120),
    )
    steps = [
        ("SHOW USERS\r", "alice false"),
        ("auth\r", "username:"),
        ("alice\r", "password:"),
        ("wonder\r", "Logged in as alice"),
        ("SHOW USERS\r", "requires admin privilege"),
        ("SHOW U\x03", r"\^C"),
    ]
    seen: list[str] = []
    try:
        child.expect("Connected to http://127.0.0.1")
        for keys, answer in steps:
            if not keys.startswith(("alice", "wonder")):
                child.expect(PROMPTS[terminal])
            child.send(keys)
            child.expect(answer)
            seen.append(child.before or "")
        child.expect(PROMPTS[terminal])
        # Ctrl-D is lost if it comes while a dumb terminal is still in line mode.
        child.send("\x04" if terminal == "xterm" else "exit\r")
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 0
        assert "wonder" not in "".join(seen)
    finally:
        child.close(force=True)
