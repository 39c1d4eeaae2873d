"""Renders the templates of the pages with Jinja2."""

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from headgate_server.console import wording

_FOLDER = Path(__file__).parent
STATIC_FOLDER = _FOLDER / "static"
# The longest time for which a page keeps the interpreter and a processor from other threads.
_SLICE_SECONDS = 0.0001
# A sleep of 0 seconds lets no thread run that waits for the interpreter.
_PAUSE_SECONDS = 0.0001
_PIECES = 4

T = TypeVar("T")


def render(template: str, values: Mapping[str, Any]) -> bytes:
    """Returns the page *template* with *values*. Blocking; thread-safe."""
    pieces = in_slices(_environment().get_template(template).generate(values), _PIECES)
    return "".join(pieces).encode("utf-8", "backslashreplace")


def in_slices(items: Iterable[T], check: int = 1) -> Iterator[T]:
    """Yields *items*, and sleeps briefly after each tenth of a millisecond. Blocking.

    The time is looked at once for *check* items. So a long page delays no other request: the event
    loop's thread runs meanwhile.
    """
    slice_ends = time.perf_counter() + _SLICE_SECONDS
    for count, item in enumerate(items):
        if count % check == 0 and time.perf_counter() > slice_ends:
            time.sleep(_PAUSE_SECONDS)
            slice_ends = time.perf_counter() + _SLICE_SECONDS
        yield item


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
