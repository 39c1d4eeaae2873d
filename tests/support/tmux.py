"""Runs a program in a real terminal, that of tmux: types keys and reads the screen."""

import itertools
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import pytest

from support.waiting import poll_until

needs_tmux = pytest.mark.skipif(
    shutil.which("tmux") is None and not os.environ.get("CI"), reason="tmux is not installed"
)

_numbers = itertools.count()


class Tmux:
    """Runs *command* in a terminal of *size* (columns, lines) until its `with` block ends.

    *environment* is the whole environment of *command*.
    """

    def __init__(
        self,
        folder: Path,
        command: list[str],
        environment: Mapping[str, str],
        size: tuple[int, int] = (100, 24),
    ) -> None:
        # A socket for each instance: the tmux server of the previous one may still be stopping.
        self._socket = folder / f"tmux{next(_numbers)}"
        variables = [f"{name}={text}" for name, text in environment.items()]
        program = shlex.join(["env", "-i", *variables, *command])
        # Keeps the last screen after the program has ended, for example by Ctrl-C.
        self._line = f"trap : INT; {program}; echo [ended $?]; read x"
        self._size = size

    def __enter__(self) -> Self:
        width, height = map(str, self._size)
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", width, "-y", height, self._line)
        return self

    def __exit__(self, *_: object) -> None:
        self._tmux("kill-server")

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", str(self._socket), *arguments],
            # UTF-8 independently of the locale of the machine.
            env=os.environ | {"LC_ALL": "C.UTF-8", "SHELL": "/bin/sh"},
            capture_output=True,
            encoding="utf-8",
            timeout=30,
            check=True,
        )
        return done.stdout

    def type(self, text: str) -> None:
        """Types *text* literally, key by key."""
        # tmux reads a semicolon at the end as the end of its own command.
        literal = text[:-1] + "\\;" if text.endswith(";") else text
        self._tmux("send-keys", "-l", "--", literal)

    def press(self, *keys: str) -> None:
        """Presses *keys*, by tmux's names: Enter, Tab, C-c, Up."""
        self._tmux("send-keys", *keys)

    def enter(self, line: str) -> None:
        """Types *line* and presses Enter."""
        self.type(line)
        self.press("Enter")

    def paste(self, text: str) -> None:
        """Pastes *text*: as a bracketed paste, if the program has enabled it."""
        self._tmux("set-buffer", "--", text)
        self._tmux("paste-buffer", "-p")

    def resize(self, width: int, height: int) -> None:
        self._tmux("resize-window", "-x", str(width), "-y", str(height))

    def screen(self, *, colours: bool = False) -> str:
        """Returns the visible text, without trailing blanks and without empty lines at the end.

        With *colours*, the text includes escape sequences of colours.
        """
        text = self._tmux("capture-pane", "-p", *(["-e"] if colours else []))
        return "\n".join(line.rstrip() for line in text.rstrip().split("\n")) + "\n"

    def wait(self, pattern: str) -> str:
        """Waits until the regular expression *pattern* matches the screen; returns the screen."""
        found: list[str] = []

        def there() -> bool:
            found[:] = [self.screen()]
            return re.search(pattern, found[0]) is not None

        try:
            poll_until(there, pattern)
        except AssertionError:
            raise AssertionError(f"no {pattern!r} on\n{self.screen()}") from None
        return found[0]
