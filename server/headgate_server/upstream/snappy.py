"""Decodes and encodes Snappy's block format, which Prometheus uses for remote writes.

No dependency of Headgate implements this format. `compress` only wraps the bytes as literals, which
every decoder accepts. The result is not smaller than the content: the network to the store is fast.
"""

_MAX_LITERAL_BYTES = 1 << 16
_LITERAL, _COPY_1, _COPY_2 = 0, 1, 2


class InvalidBlock(Exception):
    """The bytes are an invalid snappy block."""


class BlockTooLarge(Exception):
    """The block decompresses to more bytes than the caller of `decompress` allows."""


def decompress(block: bytes, max_bytes: int) -> bytes:
    """Returns the decompressed bytes of *block*.

    Raises InvalidBlock. Raises BlockTooLarge for a result of more than *max_bytes* bytes (0: no
    limit).
    """
    size, offset = _read_size(block)
    if max_bytes and size > max_bytes:
        raise BlockTooLarge
    output = bytearray()
    try:
        while offset < len(block):
            offset = _read_element(block, offset, output)
            if len(output) > size:
                raise InvalidBlock
    except IndexError:
        raise InvalidBlock from None
    if len(output) != size:
        raise InvalidBlock
    return bytes(output)


def compress(content: bytes) -> bytes:
    """Returns a block that decompresses to *content*. The block is not smaller than *content*."""
    parts = [_encode_varint(len(content))]
    for start in range(0, len(content), _MAX_LITERAL_BYTES):
        chunk = content[start : start + _MAX_LITERAL_BYTES]
        parts.append(b"\xf4" + (len(chunk) - 1).to_bytes(2, "little"))  # a length of two bytes
        parts.append(chunk)
    return b"".join(parts)


def _read_size(block: bytes) -> tuple[int, int]:
    """Returns the decompressed size that *block* declares, and the offset of its first element."""
    size = 0
    for at, byte in enumerate(block[:5]):
        size |= (byte & 0x7F) << (7 * at)
        if byte < 0x80:
            return size, at + 1
    raise InvalidBlock


def _read_element(block: bytes, start_offset: int, output: bytearray) -> int:
    """Decodes the element at *start_offset*, a literal or a copy, and appends it to *output*.

    Returns the offset of the next element. Raises InvalidBlock, or IndexError for a truncated
    element.
    """
    tag = block[start_offset]
    start_offset += 1
    kind = tag & 3
    if kind == _LITERAL:
        length = tag >> 2
        if length >= 60:
            width = length - 59
            length = int.from_bytes(_slice_exactly(block, start_offset, width), "little")
            start_offset += width
        output += _slice_exactly(block, start_offset, length + 1)
        return start_offset + length + 1
    if kind == _COPY_1:
        length, offset = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | block[start_offset]
        start_offset += 1
    else:
        width = 2 if kind == _COPY_2 else 4
        length, offset = (
            (tag >> 2) + 1,
            int.from_bytes(_slice_exactly(block, start_offset, width), "little"),
        )
        start_offset += width
    start = len(output) - offset
    if offset == 0 or start < 0:
        raise InvalidBlock
    if offset >= length:
        output += output[start : start + length]
    else:  # the copy overlaps its own output
        pattern = bytes(output[start:])
        output += (pattern * (length // offset + 1))[:length]
    return start_offset


def _slice_exactly(block: bytes, offset: int, length: int) -> bytes:
    piece = block[offset : offset + length]
    if len(piece) != length:
        raise InvalidBlock
    return piece


def _encode_varint(number: int) -> bytes:
    output = bytearray()
    while number > 0x7F:
        output.append(number & 0x7F | 0x80)
        number >>= 7
    output.append(number)
    return bytes(output)
