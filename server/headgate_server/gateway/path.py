"""A request's path, before anything is decided by it: one that everybody reads the same way."""

import re

from headgate_server.http.errors import BadRequest

# Slashes, dots, percent signs, NUL behind an escape: who decodes once more sees another path.
_HIDDEN = re.compile(rb"%(?:2[ef5]|5c|[01][0-9a-f]|7f|(?![0-9a-f]{2}))", re.IGNORECASE)
# Java servers cut a segment at `;`: `..;` is a dot segment to them.
_FORBIDDEN = re.compile(rb"[\x00-\x20\x7f-\xff\\#?;]|//|/\.{1,2}(?:/|%3[bB]|\Z)")


def checked(path: bytes) -> str:
    """*path* as it came, percent-escapes and all. Raises BadRequest for one that servers read in
    different ways: empty or dot segments, `;`, backslashes, control characters, escaped separators.
    """
    if not path.startswith(b"/") or _FORBIDDEN.search(path) or _HIDDEN.search(path):
        raise BadRequest("ambiguous path")
    return path.decode("ascii")
