"""A program in a real terminal, tmux's: keys in, screens out."""

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
    """Runs *command* with *environment* alone, in a terminal of that size; ends with its `with`."""

    def __init__(
        self,
        folder: Path,
        command: list[str],
        environment: Mapping[str, str],
        size: tuple[int, int] = (100, 24),
    ) -> None:
        # One of its own: the server of the one before may still be ending.
        self._socket = folder / f"tmux{next(_numbers)}"
        variables = [f"{name}={text}" for name, text in environment.items()]
        program = shlex.join(["env", "-i", *variables, *command])
        # So that the last screen is still there when the program has ended, by Ctrl-C for instance.
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
            # UTF-8, whatever the machine's own locale is.
            env=os.environ | {"LC_ALL": "C.UTF-8", "SHELL": "/bin/sh"},
            capture_output=True,
            encoding="utf-8",
            timeout=30,
            check=True,
        )
        return done.stdout

    def type(self, text: str) -> None:
        """As it is, key by key."""
        # tmux takes a semicolon at the end for itself.
        literal = text[:-1] + "\\;" if text.endswith(";") else text
        self._tmux("send-keys", "-l", "--", literal)

    def press(self, *keys: str) -> None:
        """Keys by tmux's names: Enter, Tab, C-c, Up."""
        self._tmux("send-keys", *keys)

    def enter(self, line: str) -> None:
        self.type(line)
        self.press("Enter")

    def paste(self, text: str) -> None:
        """As terminals do it: in brackets, if the program wants them."""
        self._tmux("set-buffer", "--", text)
        self._tmux("paste-buffer", "-p")

    def resize(self, width: int, height: int) -> None:
        self._tmux("resize-window", "-x", str(width), "-y", str(height))

    def screen(self, *, colours: bool = False) -> str:
        """What is seen, without blanks at the end of lines and without empty lines at the end."""
        text = self._tmux("capture-pane", "-p", *(["-e"] if colours else []))
        return "\n".join(line.rstrip() for line in text.rstrip().split("\n")) + "\n"

    def wait(self, pattern: str) -> str:
        """The screen, as soon as *pattern* is on it."""
        found: list[str] = []

        def there() -> bool:
            found[:] = [self.screen()]
            return re.search(pattern, found[0]) is not None

        try:
            poll_until(there, pattern)
        except AssertionError:
            raise AssertionError(f"no {pattern!r} on\n{self.screen()}") from None
        return found[0]
