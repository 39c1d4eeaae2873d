"""Runs `headgate COMMAND` in this process, as the program runs it once its streams are set up."""

import io
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack, chdir, redirect_stderr, redirect_stdout
from unittest.mock import patch

from headgate.__main__ import run


def run_command(
    *arguments: str,
    stdin: str = "",
    environment: Mapping[str, str] | None = None,
    folder: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs `headgate ARGUMENTS` and returns its exit status and output, like subprocess.run.

    *environment* replaces os.environ, *folder* the working directory, while the command runs. Not
    for commands that fork, that wait for signals, or that write to a terminal.
    """
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", "surrogateescape") for _ in range(3)]
    streams[0].write(stdin)
    streams[0].seek(0)
    with ExitStack() as stack:
        stack.enter_context(patch.object(sys, "stdin", streams[0]))
        stack.enter_context(redirect_stdout(streams[1]))
        stack.enter_context(redirect_stderr(streams[2]))
        if environment is not None:
            stack.enter_context(patch.dict(os.environ, environment, clear=True))
        if folder is not None:
            stack.enter_context(chdir(folder))
        try:
            status = run(arguments)
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
    for stream in streams[1:]:
        stream.seek(0)
    return subprocess.CompletedProcess(
        ["headgate", *arguments], status, streams[1].read(), streams[2].read()
    )
