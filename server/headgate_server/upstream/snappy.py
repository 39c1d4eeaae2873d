"""Snappy's block format, which Prometheus' remote write is packed in. Pure functions.

Written here because no library of ours has it. Packing stores the bytes as literals: the store is
near, and every reader takes that.
"""

_LITERAL_BYTES = 1 << 16
_LITERAL, _COPY_1, _COPY_2 = 0, 1, 2


class Invalid(Exception):
    """The bytes are not a snappy block."""


class TooLong(Exception):
    """The block holds more bytes than it may."""


def unpacked(block: bytes, most: int) -> bytes:
    """The bytes in *block*. Raises Invalid; TooLong for more than *most* bytes (0: no limit)."""
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
    """A block that holds *content*."""
    parts = [_varint(len(content))]
    for start in range(0, len(content), _LITERAL_BYTES):
        piece = content[start : start + _LITERAL_BYTES]
        parts.append(b"\xf4" + (len(piece) - 1).to_bytes(2, "little"))  # a length of two bytes
        parts.append(piece)
    return b"".join(parts)


def _length(block: bytes) -> tuple[int, int]:
    """The number of bytes that *block* declares, and where its elements begin."""
    size = 0
    for at, byte in enumerate(block[:5]):
        size |= (byte & 0x7F) << (7 * at)
        if byte < 0x80:
            return size, at + 1
    raise Invalid


def _element(block: bytes, at: int, found: bytearray) -> int:
    """Appends to *found* what the element at *at* stands for; where the next one begins.

    Raises Invalid, IndexError for an element that is cut off.
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
    else:  # the copy reads what it has written itself
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
