"""Loads the InfluxQL parser; its LALR table is computed from influxql.lark and cached on disk.

Computing the table takes ten times as long as loading it. Lark verifies the cached file by a digest
of the grammar, the parser's options and the versions of Lark and Python. An outdated table is
therefore never used.
"""

import os
import tempfile
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Any

import lark
from lark import Lark


def load_parser(transformer: Any) -> Lark:
    """Returns the InfluxQL parser, which calls a method of *transformer* for each rule.

    Loads the parser's table from the cache on disk, or computes the table and stores it there.
    """
    text = resources.files("headgate_grammar").joinpath("influxql.lark").read_text("utf-8")
    folder = _cache_folder()
    if folder is None:
        return _build_parser(text, transformer, False)
    path = folder / f"influxql-{sha256((lark.__version__ + text).encode()).hexdigest()[:16]}"
    if path.exists():
        return _build_parser(text, transformer, str(path))
    # Written under a temporary name, so that no process reads a partial table.
    try:
        handle, unfinished = tempfile.mkstemp(dir=folder)
    except OSError:
        return _build_parser(text, transformer, False)
    os.close(handle)
    os.unlink(unfinished)
    parser = _build_parser(text, transformer, unfinished)
    try:
        os.replace(unfinished, path)
    except OSError:
        pass  # a full disk: the next start computes the table again
    return parser


def _build_parser(text: str, transformer: Any, cache: str | bool) -> Lark:
    return Lark(
        text,
        parser="lalr",
        lexer="basic",  # unused: lexer.py produces the tokens
        start="query",
        maybe_placeholders=True,
        transformer=transformer,
        cache=cache,
    )


def _cache_folder() -> Path | None:
    """Returns the folder of the cache, or None if it is unusable or other users can write to it.

    The cached table is a pickle, and loading a pickle can execute code. Therefore only this user
    may write to the folder.
    """
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = home / "headgate"
        # Not recursive: a missing home directory is not created.
        home.mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        ours = all(_is_private(place) for place in (home.parent, home, folder))
    except (OSError, RuntimeError):
        return None  # the home directory is missing or read-only
    return folder if ours else None


def _is_private(folder: Path) -> bool:
    about = os.stat(folder)
    return about.st_uid == os.getuid() and not about.st_mode & 0o022
