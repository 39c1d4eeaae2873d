"""Escapes control characters, so that data cannot send escape sequences to a terminal."""

import io
import re
import sys
from collections.abc import Callable

# Controls (C0, DEL, C1), bidirectional formatting characters, line and paragraph separators, and
# lone surrogates, which stand for bytes that are not UTF-8.
_UNSAFE = "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_UNSAFE_IN_LINES = re.compile(f"[{_UNSAFE}]")
_UNSAFE_ON_ONE_LINE = re.compile(f"[{_UNSAFE}\t\n]")
_SHORT_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def escape_character(character: str) -> str:
    """Returns *character* as an escape: `\\n`, `\\x1b`, `\\u202e`."""
    code = ord(character)
    if character in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[character]
    if 0xDC80 <= code <= 0xDCFF:  # the error handler surrogateescape's form of a byte
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def escape_controls(text: str) -> str:
    """Returns *text* on one line, with control characters, line ends and tabs escaped."""
    return _escape_matches(_UNSAFE_ON_ONE_LINE, text, escape_character)


def escape_controls_in_lines(text: str) -> str:
    """Returns *text* with control characters escaped, except line ends and tabs."""
    return _escape_matches(_UNSAFE_IN_LINES, text, escape_character)


def escape_controls_in_json(text: str) -> str:
    """Returns the JSON *text* with control characters as JSON escapes, which keeps its meaning."""
    return _escape_matches(_UNSAFE_IN_LINES, text, lambda character: f"\\u{ord(character):04x}")


def _escape_matches(unsafe: re.Pattern[str], text: str, escape: Callable[[str], str]) -> str:
    if text.isascii() and text.isprintable():
        return text
    return unsafe.sub(lambda match: escape(match[0]), text)


class EscapingStream(io.TextIOWrapper):
    """A text stream to a terminal that passes all text through `escape_controls_in_lines`.

    prompt_toolkit, which has to send escape sequences, writes to `buffer`.
    """

    def write(self, text: str, /) -> int:
        """Writes *text* with control characters escaped; returns the length of *text*."""
        super().write(escape_controls_in_lines(text))
        return len(text)


def escape_terminal_output() -> None:
    """Replaces standard output and standard error by an EscapingStream if they are terminals."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and stream.isatty():
            stream.flush()
            escaping = EscapingStream(
                stream.buffer,
                encoding=stream.encoding,
                errors=stream.errors,
                line_buffering=True,
            )
            setattr(sys, name, escaping)
