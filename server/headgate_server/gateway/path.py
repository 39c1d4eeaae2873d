"""Validation of a request's path, so that all servers interpret it the same way."""

import re
from functools import lru_cache

from headgate_server.http.errors import BadRequest

# A path may have 8 KiB.
_MAX_CACHED_PATHS = 256
# Escaped slashes, dots, percent signs, control characters: a server that decodes the path once more
# than others reads another path.
_AMBIGUOUS_ESCAPE_PATTERN = re.compile(
    rb"%(?:2[ef5]|5c|[01][0-9a-f]|7f|(?![0-9a-f]{2}))", re.IGNORECASE
)
# Java servers truncate a segment at `;`: `..;` means `..` there.
_AMBIGUOUS_PART_PATTERN = re.compile(rb"[\x00-\x20\x7f-\xff\\#?;]|//|/\.{1,2}(?:/|%3[bB]|\Z)")


@lru_cache(_MAX_CACHED_PATHS)
def validated_path(path: bytes) -> str:
    """Returns *path* as it was sent, with its percent-escapes.

    Raises BadRequest for a path that servers interpret differently: empty or dot segments, `;`,
    backslashes, control characters, escaped separators.
    """
    if (
        not path.startswith(b"/")
        or _AMBIGUOUS_PART_PATTERN.search(path)
        or _AMBIGUOUS_ESCAPE_PATTERN.search(path)
    ):
        raise BadRequest("ambiguous path")
    return path.decode("ascii")
