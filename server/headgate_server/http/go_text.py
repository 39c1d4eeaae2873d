"""Decodes bytes from the network, and formats text as Go does."""

import re

_SLICE_CHARACTERS = 1 << 15
# Unicode's property White_Space.
_GO_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
_SURROGATE = re.compile("[\ud800-\udfff]")


def decode_utf8(raw: bytes) -> str:
    """Decodes *raw* as UTF-8. Invalid bytes become surrogates, from which they can be restored."""
    return raw.decode("utf-8", "surrogateescape")


def replace_invalid(text: str) -> str:
    """Returns *text* with U+FFFD in place of each invalid byte, as in Go.

    *text* is a result of `decode_utf8`, in which a surrogate stands for an invalid byte.
    """
    if text.isascii():  # the usual case
        return text
    # In slices, so that other threads can run: a long text may consist of such bytes alone.
    slices = (
        text[start : start + _SLICE_CHARACTERS] for start in range(0, len(text), _SLICE_CHARACTERS)
    )
    return "".join(_SURROGATE.sub("\ufffd", piece) for piece in slices)


def go_trim(text: str) -> str:
    """Returns *text* without Unicode's white space at its ends, as Go's `strings.TrimSpace`.

    Python's strip() also removes U+001C to U+001F.
    """
    return text.strip(_GO_SPACE)


def go_quote(text: str) -> str:
    """Returns *text* as Go's `%q` prints it."""
    return '"' + "".join(map(_go_character, text)) + '"'


_GO_ESCAPES = {'"': r"\"", "\\": r"\\"} | dict(
    zip("\a\b\f\n\r\t\v", (rf"\{letter}" for letter in "abfnrtv"), strict=True)
)


def _go_character(character: str) -> str:
    code = ord(character)
    if character in _GO_ESCAPES:
        return _GO_ESCAPES[character]
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if character.isprintable():
        return character
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
