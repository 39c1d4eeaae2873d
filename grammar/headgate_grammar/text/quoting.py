"""Quotes names, strings and regular expressions as InfluxQL writes them."""

import re

from headgate_grammar.text.keywords import NEW_KEYWORDS, is_keyword

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
    """Returns *name* as InfluxQL writes it: in double quotes if a version of it requires quotes."""
    if _BARE.fullmatch(name) and not is_keyword(name) and name.lower() not in NEW_KEYWORDS:
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
    """Returns *pattern* in a form that a statement can hold between slashes, with equal meaning.

    A line feed becomes `\\n`. An escaped backslash at the end becomes `\\x5c`, because a backslash
    would escape the closing slash. If *pattern* needs such a change, text between `\\Q` and `\\E`
    is escaped character by character. *pattern* must be valid, see `regexes.check_regex`.
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
    """Returns *text* with each escape, such as `\\n`, replaced by the character that it stands for.

    *text* is what a quoted name or string holds between its quotes, and its escapes are valid.
    """
    if "\\" not in text:
        return text
    return _UNESCAPE.sub(lambda match: "\n" if match[1] == "n" else match[1], text)
