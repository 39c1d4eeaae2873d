"""Names and strings as InfluxQL writes them."""

import re

from headgate_grammar.keywords import is_keyword

_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ESCAPES = {"\n": r"\n", "\\": r"\\", '"': r"\""}
_UNESCAPE = re.compile(r"\\(.)", re.DOTALL)
_SPECIAL = re.compile(r'[\n\\"]')
_STRING_ESCAPES = {"\n": r"\n", "\\": r"\\", "'": r"\'"}
_SPECIAL_STRING = re.compile(r"[\n\\']")


def quote_identifier(name: str) -> str:
    """*name* as a statement holds it: bare where that is allowed, else in double quotes."""
    if _BARE.fullmatch(name) and not is_keyword(name):
        return name
    return '"' + _SPECIAL.sub(lambda match: _ESCAPES[match[0]], name) + '"'


def quote_string(value: str) -> str:
    """*value* as a string literal, in single quotes."""
    return "'" + _SPECIAL_STRING.sub(lambda match: _STRING_ESCAPES[match[0]], value) + "'"


def quote_regex(pattern: str) -> str:
    """*pattern* between slashes."""
    return "/" + pattern.replace("/", r"\/").replace("\n", r"\n") + "/"


def unescape(text: str) -> str:
    """The value of what stands between quotes, whose escapes are known to be good."""
    if "\\" not in text:
        return text
    return _UNESCAPE.sub(lambda match: "\n" if match[1] == "n" else match[1], text)
