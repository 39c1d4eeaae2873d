"""Quotes texts as Go's `%q` does, which influx, InfluxDB's own shell, uses in its messages."""

import re

_ESCAPED_CHARACTERS = re.compile(r"[^ !#-\[\]-~]")
_SHORT_ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}


def go_quote(text: str) -> str:
    """Returns *text* in double quotes, with Go's escapes for characters that are not printable."""
    return '"' + _ESCAPED_CHARACTERS.sub(lambda match: _escape(match[0]), text) + '"'


def _escape(character: str) -> str:
    code = ord(character)
    if character in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[character]
    if character.isprintable():
        return character
    if 0xDC80 <= code <= 0xDCFF:  # the error handler surrogateescape's form of an invalid byte
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
