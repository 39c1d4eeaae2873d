"""Quotes names, strings and regular expressions as InfluxQL writes them."""

import re

from headgate_grammar.text.keywords import is_keyword

_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ESCAPES = {"\n": r"\n", "\\": r"\\", '"': r"\""}
_UNESCAPE = re.compile(r"\\(.)", re.DOTALL)
_SPECIAL = re.compile(r'[\n\\"]')
_STRING_ESCAPES = {"\n": r"\n", "\\": r"\\", "'": r"\'"}
_SPECIAL_STRING = re.compile(r"[\n\\']")
# The parts of a regular expression, as RE2 splits it: quoted text, an escape, a character.
_REGEX_PART = re.compile(r"\\Q(?P<literal>.*?)(?:\\E|\Z)|\\.|.", re.DOTALL)
_REGEX_SPECIAL = frozenset(r".+*?()|[]{}^$")


def quote_identifier(name: str) -> str:
    """Returns *name* as in a statement: bare where that is allowed, else in double quotes."""
    if _BARE.fullmatch(name) and not is_keyword(name):
        return name
    return '"' + _SPECIAL.sub(lambda match: _ESCAPES[match[0]], name) + '"'


def quote_string(value: str) -> str:
    """Returns *value* as a string literal in single quotes."""
    return "'" + _SPECIAL_STRING.sub(lambda match: _STRING_ESCAPES[match[0]], value) + "'"


def quote_regex(pattern: str) -> str:
    """Returns *pattern* as an InfluxQL regex literal, `/.../`.

    Parsing the literal returns `printable_regex(pattern)`, a pattern with the same meaning.
    """
    return "/" + printable_regex(pattern).replace("/", r"\/") + "/"


def printable_regex(pattern: str) -> str:
    """Returns a pattern with the same meaning that can be written between slashes in a statement.

    A line feed is written as `\\n`. A backslash at the end would escape the slash after it, so an
    escaped backslash there is written as `\\x5c`. Text between `\\Q` and `\\E` is escaped character
    by character. *pattern* must be a valid regular expression of RE2, see
    `regexes.check_regex`.
    """
    if "\n" not in pattern and not pattern.endswith("\\"):
        return pattern
    parts = [_printable(match) for match in _REGEX_PART.finditer(pattern)]
    if parts[-1] == "\\\\":
        parts[-1] = r"\x5c"
    return "".join(parts)


def _printable(part: re.Match[str]) -> str:
    literal = part["literal"]
    if literal is not None:
        return "".join(r"\x5c" if one == "\\" else _escaped(one) for one in literal)
    return r"\n" if part[0] in ("\n", "\\\n") else part[0]


def _escaped(character: str) -> str:
    if character == "\n":
        return r"\n"
    return f"\\{character}" if character in _REGEX_SPECIAL else character


def unescape(text: str) -> str:
    """Returns *text*, the characters between two quotes, with its valid escapes replaced."""
    if "\\" not in text:
        return text
    return _UNESCAPE.sub(lambda match: "\n" if match[1] == "n" else match[1], text)
