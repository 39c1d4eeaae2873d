"""Finds the error in an invalid regular expression with RE2 itself (package google-re2)."""

import re2

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False


def find_regex_error(pattern: str) -> tuple[str, str] | None:
    """Returns the error in *pattern*, or None if *pattern* is valid.

    The result is a pair, such as `("missing ]", "[a")`: RE2's name for the error, and the wrong
    part of *pattern*, which may be "".
    """
    try:
        re2.compile(pattern, _OPTIONS)
    except re2.error as error:
        text = error.args[0].decode("utf-8", "replace") if error.args else ""
        kind, _, where = text.partition(": ")
        return kind, where
    finally:
        re2.purge()  # empties the cache of compiled patterns, which are not used again
    return None
