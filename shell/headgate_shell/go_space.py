"""White space as Go's `unicode.IsSpace` has it: what influx trims, and parts words at.

Python's own `strip` and `split` also take U+001C to U+001F, which InfluxDB rejects.
"""

import re

SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
# What may stand between JSON documents (RFC 8259).
JSON_SPACE = " \t\n\r"


def trim(text: str) -> str:
    """*text* without white space at both ends, as by Go's `strings.TrimSpace`."""
    return text.strip(SPACE)


def fields(text: str, most: int = 0) -> list[str]:
    """The words of *text*, as by Go's `strings.Fields`.

    With *most*, at most so many: the last one is the rest of *text* as it is, without white space
    in front.
    """
    text = text.lstrip(SPACE)
    if not text:
        return []
    words = re.split(f"[{SPACE}]+", text, maxsplit=max(0, most - 1))
    return words if words[-1] else words[:-1]


def arguments(line: str) -> str:
    """What stands behind the first word of the command *line*, without a semicolon at the end."""
    words = fields(trim(line).removesuffix(";"), 2)
    return trim(words[1]) if len(words) > 1 else ""
