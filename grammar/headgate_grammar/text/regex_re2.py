"""Finds faults of a regular expression by RE2 itself. Uses google-re2."""

import re2

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False


def find_regex_error(pattern: str) -> tuple[str, str] | None:
    """Returns RE2's name of the error in *pattern*, and the part with the error; None if valid."""
    try:
        re2.compile(pattern, _OPTIONS)
    except re2.error as error:
        text = error.args[0].decode("utf-8", "replace") if error.args else ""
        kind, _, where = text.partition(": ")
        return kind, where
    finally:
        re2.purge()  # empties the cache of compiled patterns, which are not used again
    return None
