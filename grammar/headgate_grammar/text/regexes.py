"""Checks that a regular expression is valid in InfluxQL's dialect, RE2.

Uses google-re2 where it is installed, else `find_regex_error`, which detects fewer faults. The
error messages are those of Go's package regexp, as InfluxDB shows them.
"""

import re

from headgate_grammar.text.regex_scan import find_regex_error

try:
    import re2
except ImportError:  # there is no wheel for Alpine, 32-bit ARM and the newest Python
    re2 = None
else:
    _OPTIONS = re2.Options()
    _OPTIONS.log_errors = False

# The error texts of RE2 in C++, and Go's texts for the same errors.
_GO_MESSAGES = {
    "missing ]": "missing closing ]",
    "missing )": "missing closing )",
    "unexpected )": "unexpected )",
    "trailing \\": "trailing backslash at end of expression",
    "no argument for repetition operator": "missing argument to repetition operator",
    "invalid repetition size": "invalid repeat count",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid named capture group": "invalid named capture",
    "invalid character class range": "invalid character class range",
    "invalid escape sequence": "invalid escape sequence",
    "invalid character class": "invalid character class",
    "invalid UTF-8": "invalid UTF-8",
}


# Above these limits RE2 takes seconds and gigabytes. A pattern with a thousand host names is far
# below the limits.
_MAX_PATTERN_CHARS = 100_000
_MAX_CLASSES = 200
_CLASS_PATTERN = re.compile(r"\\[pP]")


class BadRegex(Exception):
    """An invalid regular expression; `str()` is the message of Go's regexp."""


def check_regex(pattern: str) -> None:
    """Raises BadRegex if *pattern* is an invalid regular expression."""
    if len(pattern) > _MAX_PATTERN_CHARS or len(_CLASS_PATTERN.findall(pattern)) > _MAX_CLASSES:
        raise BadRegex("error parsing regexp: expression too large")
    fault = find_regex_error(pattern) if re2 is None else _find_error_by_re2(pattern)
    if fault is not None:
        raise BadRegex(_go_message(*fault, pattern))


def _find_error_by_re2(pattern: str) -> tuple[str, str] | None:
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


def _go_message(kind: str, where: str, pattern: str) -> str:
    """Returns the message of Go's regexp for an error of RE2."""
    message = _GO_MESSAGES.get(kind, kind)
    if kind in ("missing )", "unexpected )"):
        where = pattern
    return f"error parsing regexp: {message}" + (f": `{where}`" if where else "")
