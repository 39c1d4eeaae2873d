"""Renders the templates of the pages with Jinja2."""

import hashlib
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from headgate_server.console import wording

_FOLDER = Path(__file__).parent
STATIC_FOLDER = _FOLDER / "static"
# The longest time for which a page keeps the interpreter from other threads.
_SLICE_SECONDS = 0.0005
_PIECES = 16


def render(template: str, values: Mapping[str, Any]) -> bytes:
    """Returns the page *template* with *values*. Blocking; thread-safe.

    It hands the interpreter to other threads often, so that a long page delays no other request.
    """
    pieces: list[str] = []
    slice_ends = time.perf_counter() + _SLICE_SECONDS
    for count, piece in enumerate(_environment().get_template(template).generate(values)):
        pieces.append(piece)
        if count % _PIECES == 0 and time.perf_counter() > slice_ends:
            let_others_run()
            slice_ends = time.perf_counter() + _SLICE_SECONDS
    return "".join(pieces).encode("utf-8", "backslashreplace")


def let_others_run() -> None:
    """Hands the interpreter to another thread that waits for it, such as the event loop's."""
    time.sleep(0)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= wording.FILTERS
    environment.globals["static"] = static_address
    return environment


@lru_cache
def static_address(name: str) -> str:
    """Returns the address of the static file *name*, which differs if the content differs."""
    return f"/console/static/{name}?v={static_version(name)}"


@lru_cache
def static_version(name: str) -> str:
    """Returns a hash of the content of the static file *name*; "" for an unknown file."""
    path = STATIC_FOLDER / name
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else ""
