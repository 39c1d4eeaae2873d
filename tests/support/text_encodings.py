"""Encodes text as editors of several systems write it to a file."""

import codecs


def text_encodings(text: str) -> dict[str, bytes]:
    """Returns the contents of a file with *text*, by the name of the encoding."""
    lines = text.replace("\n", "\r\n")
    return {
        "UTF-8": text.encode(),
        "UTF-8 with a mark": codecs.BOM_UTF8 + text.encode(),
        "UTF-8 with a mark and CRLF": codecs.BOM_UTF8 + lines.encode(),
        "CRLF": lines.encode(),
        "UTF-16 LE": codecs.BOM_UTF16_LE + lines.encode("utf-16-le"),
        "UTF-16 BE": codecs.BOM_UTF16_BE + lines.encode("utf-16-be"),
    }
