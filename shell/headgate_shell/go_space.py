"""White space as Go's `unicode.IsSpace` defines it.

influx, InfluxDB's own shell, trims and splits its input at this white space.
Python's `strip` and `split` also remove U+001C to U+001F, which InfluxDB rejects.
"""

import re

SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
# White space between JSON documents (RFC 8259).
JSON_SPACE = " \t\n\r"


def trim(text: str) -> str:
    """Returns *text* without white space at both ends, like Go's `strings.TrimSpace`."""
    return text.strip(SPACE)


def split_words(text: str, max_words: int = 0) -> list[str]:
    """Returns the words of *text*, like Go's `strings.Fields`.

    With *max_words* > 0, returns at most *max_words* words. The last is the rest of *text*,
    unchanged but for leading white space.
    """
    text = text.lstrip(SPACE)
    if not text:
        return []
    words = re.split(f"[{SPACE}]+", text, maxsplit=max(0, max_words - 1))
    return words if words[-1] else words[:-1]


def arguments(line: str) -> str:
    """Returns the command *line* without its first word and without a final semicolon."""
    words = split_words(trim(line).removesuffix(";"), 2)
    return trim(words[1]) if len(words) > 1 else ""
