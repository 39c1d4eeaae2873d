"""Checks that a regular expression is valid in InfluxQL's dialect, RE2.

The check uses RE2 where google-re2 is installed. Elsewhere it uses `regex_scan`, which detects
fewer errors. The error messages are those of Go's package regexp, as InfluxDB shows them.
"""

import re

try:
    from headgate_grammar.text.regex_re2 import find_regex_error
except ImportError:  # there is no wheel for Alpine, 32-bit ARM and the newest Python
    from headgate_grammar.text.regex_scan import find_regex_error

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
    """A regular expression is invalid; `str()` is the error message of Go's package regexp."""


def check_regex(pattern: str) -> None:
    """Raises BadRegex if *pattern* is an invalid or too large regular expression."""
    if len(pattern) > _MAX_PATTERN_CHARS or len(_CLASS_PATTERN.findall(pattern)) > _MAX_CLASSES:
        raise BadRegex("error parsing regexp: expression too large")
    fault = find_regex_error(pattern)
    if fault is not None:
        raise BadRegex(_go_message(*fault, pattern))


def _go_message(kind: str, where: str, pattern: str) -> str:
    """Returns Go's message for the RE2 error *kind* in *where*, a part of *pattern* or ""."""
    message = _GO_MESSAGES.get(kind, kind)
    if kind in ("missing )", "unexpected )"):
        where = pattern
    return f"error parsing regexp: {message}" + (f": `{where}`" if where else "")
