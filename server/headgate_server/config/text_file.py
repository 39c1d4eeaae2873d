"""Reads text files that people edit: UTF-8, or UTF-16 with a byte order mark."""

import codecs
import os
from pathlib import Path

# The byte order marks that influxd accepts in its configuration. UTF-32 is unsupported, as in
# influxd: the mark of UTF-32 LE begins with that of UTF-16 LE.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def read_text(path: str | os.PathLike[str]) -> str:
    """Returns the text of the file *path*: UTF-16 if a byte order mark says so, else UTF-8.

    Raises OSError, UnicodeDecodeError.
    """
    return decode(Path(path).read_bytes())


def decode(raw: bytes) -> str:
    """Returns *raw* as text, without its byte order mark. Raises UnicodeDecodeError."""
    for mark, encoding in _MARKS:
        if raw.startswith(mark):
            return raw[len(mark) :].decode(encoding)
    return raw.decode("utf-8")
