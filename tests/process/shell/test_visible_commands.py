"""No command writes an escape sequence to a terminal."""

import os
import pty
import subprocess

import pytest

from support.shell_program import HEADGATE

UNSAFE = {*map(chr, range(32)), *map(chr, range(127, 160)), *"\u202a\u202e\u2066\u2069\u200f"}


def at_terminal(*arguments: str) -> str:
    """What `headgate ARGUMENTS` writes to a terminal, both of its streams."""
    leader, follower = pty.openpty()
    try:
        process = subprocess.Popen(
            [*HEADGATE[:-1], *arguments],
            stdin=subprocess.DEVNULL,
            stdout=follower,
            stderr=follower,
            env=os.environ | {"LC_ALL": "C.UTF-8"},
        )
        os.close(follower)
        written = b""
        try:
            while piece := os.read(leader, 4096):
                written += piece
        except OSError:
            pass  # Linux's way to say that the other end is closed
        assert process.wait(30) != 0
        return written.decode()
    finally:
        os.close(leader)


@pytest.mark.parametrize(
    "arguments",
    [
        ("shell", "-\x1b[31m\u202e"),
        ("shell", "-host", "\x1b[31m\u202e", "-execute", "x"),
        ("shell", "\x1b[31m\u202e"),
        ("audit", "--store", "/none/\x1b[31m\u202e"),
        ("store", "check", "/none/\x1b[31m\u202e"),
        ("admin", "grant-admin", "x", "--store", "/none/\x1b[31m\u202e"),
        ("token", "mint", "--username", "x", "--exp", "\x1b[31m\u202e"),
        ("serve", "--config", "/none/\x1b[31m\u202e"),
        ("\x1b[31m\u202e",),
    ],
)
def test_no_command_hands_an_escape_sequence_on_to_a_terminal(arguments: tuple[str, ...]) -> None:
    written = at_terminal(*arguments)
    assert written and not set(written) & (UNSAFE - set("\r\n\t"))
