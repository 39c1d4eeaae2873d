"""Snappy's block format, which compresses Prometheus' remote write. Pure functions.

Written here because no dependency of Headgate has it. Compression stores the bytes as literals:
the store is near, and every decoder accepts that.
"""

_LITERAL_BYTES = 1 << 16
_LITERAL, _COPY_1, _COPY_2 = 0, 1, 2


class Invalid(Exception):
    """The bytes are an invalid snappy block."""


class TooLong(Exception):
    """The block decompresses to more bytes than allowed."""


def unpacked(block: bytes, most: int) -> bytes:
    """Returns the decompressed bytes of *block*.

    Raises Invalid; TooLong for more than *most* bytes (0: no limit).
    """
    size, at = _length(block)
    if most and size > most:
        raise TooLong
    found = bytearray()
    try:
        while at < len(block):
            at = _element(block, at, found)
            if len(found) > size:
                raise Invalid
    except IndexError:
        raise Invalid from None
    if len(found) != size:
        raise Invalid
    return bytes(found)


def packed(content: bytes) -> bytes:
    """Returns a block that decompresses to *content*."""
    parts = [_varint(len(content))]
    for start in range(0, len(content), _LITERAL_BYTES):
        piece = content[start : start + _LITERAL_BYTES]
        parts.append(b"\xf4" + (len(piece) - 1).to_bytes(2, "little"))  # a length of two bytes
        parts.append(piece)
    return b"".join(parts)


def _length(block: bytes) -> tuple[int, int]:
    """Returns the decompressed size that *block* declares, and the offset of its first element."""
    size = 0
    for at, byte in enumerate(block[:5]):
        size |= (byte & 0x7F) << (7 * at)
        if byte < 0x80:
            return size, at + 1
    raise Invalid


def _element(block: bytes, at: int, found: bytearray) -> int:
    """Appends the bytes of the element at *at* to *found*. Returns the offset of the next element.

    Raises Invalid; IndexError for a truncated element.
    """
    tag = block[at]
    at += 1
    kind = tag & 3
    if kind == _LITERAL:
        length = tag >> 2
        if length >= 60:
            width = length - 59
            length = int.from_bytes(_taken(block, at, width), "little")
            at += width
        found += _taken(block, at, length + 1)
        return at + length + 1
    if kind == _COPY_1:
        length, offset = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | block[at]
        at += 1
    else:
        width = 2 if kind == _COPY_2 else 4
        length, offset = (tag >> 2) + 1, int.from_bytes(_taken(block, at, width), "little")
        at += width
    start = len(found) - offset
    if offset == 0 or start < 0:
        raise Invalid
    if offset >= length:
        found += found[start : start + length]
    else:  # the copy overlaps its own output
        piece = bytes(found[start:])
        found += (piece * (length // offset + 1))[:length]
    return at


def _taken(block: bytes, at: int, length: int) -> bytes:
    piece = block[at : at + length]
    if len(piece) != length:
        raise Invalid
    return piece


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)
