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
    """Returns the text of the file *path*, as `decode` returns it.

    Raises OSError if the file cannot be read, UnicodeDecodeError if it is invalid.
    """
    return decode(Path(path).read_bytes())


def decode(raw: bytes) -> str:
    """Returns *raw* as text: UTF-16 with the byte order mark of UTF-16, else UTF-8.

    The mark is removed. Raises UnicodeDecodeError for invalid bytes.
    """
    for mark, encoding in _MARKS:
        if raw.startswith(mark):
            return raw[len(mark) :].decode(encoding)
    return raw.decode("utf-8")
