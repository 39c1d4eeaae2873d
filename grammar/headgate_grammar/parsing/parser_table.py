"""The parser's table: built from the grammar once, and kept for the next start of a program.

Building takes ten times as long as reading what was kept. Lark keeps it under a digest of the
grammar, its options, its own version and Python's: a table of another grammar is never used.
"""

import os
import tempfile
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Any

import lark
from lark import Lark


def load(transformer: Any) -> Lark:
    """The parser of InfluxQL, whose rules call *transformer*."""
    text = resources.files("headgate_grammar").joinpath("influxql.lark").read_text("utf-8")
    folder = _folder()
    if folder is None:
        return _lark(text, transformer, False)
    path = folder / f"influxql-{sha256((lark.__version__ + text).encode()).hexdigest()[:16]}"
    if path.exists():
        return _lark(text, transformer, str(path))
    # Under another name first, so that nobody reads half a table.
    try:
        handle, unfinished = tempfile.mkstemp(dir=folder)
    except OSError:
        return _lark(text, transformer, False)
    os.close(handle)
    os.unlink(unfinished)
    made = _lark(text, transformer, unfinished)
    try:
        os.replace(unfinished, path)
    except OSError:
        pass  # a full disk: the next start builds it again
    return made


def _lark(text: str, transformer: Any, cache: str | bool) -> Lark:
    return Lark(
        text,
        parser="lalr",
        lexer="basic",  # unused: scanner.py makes the tokens
        start="query",
        maybe_placeholders=True,
        transformer=transformer,
        cache=cache,
    )


def _folder() -> Path | None:
    """The folder to keep it in; None where somebody else could write, for it is executed."""
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = home / "headgate"
        # One at a time: a home that is not there is not made.
        home.mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        ours = all(_is_ours(place) for place in (home.parent, home, folder))
    except (OSError, RuntimeError):
        return None  # no home, or one that cannot be written to
    return folder if ours else None


def _is_ours(folder: Path) -> bool:
    about = os.stat(folder)
    return about.st_uid == os.getuid() and not about.st_mode & 0o022
