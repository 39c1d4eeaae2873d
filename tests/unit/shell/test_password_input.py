"""Passwords that commands read from the terminal."""

import getpass
import sys
from collections.abc import Callable

import pytest

from headgate.password_input import read_current_password, read_known_password, read_password


@pytest.mark.parametrize(
    "read",
    [read_known_password, lambda: read_password(None), lambda: read_current_password("ann")],
    ids=["known", "new", "current"],
)
def test_the_end_of_input_is_told_as_no_password(
    read: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def end_of_input(prompt: str) -> str:
        raise EOFError

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(getpass, "getpass", end_of_input)
    with pytest.raises(ValueError, match="no password was given"):
        read()
