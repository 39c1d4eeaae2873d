"""Standard input, output and error of the process."""

import os
import sys


def reopen_closed_streams() -> None:
    """Opens the null device in place of each standard stream that was closed at the start.

    Python holds None in place of such a stream, and code that uses it would fail.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - open until the end
