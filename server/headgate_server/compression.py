"""gzip, in answers and in what is written. Knows zlib."""

import asyncio
import zlib
from collections.abc import AsyncGenerator, AsyncIterable

from headgate_server.refusals import BadRequest, TooLarge

_GZIP = 16 + zlib.MAX_WBITS
# Answers are small and many: the time counts more than the last byte.
_LEVEL = 1
_PIECE = 1 << 16
_MOST_MEMBERS = 100


def takes_gzip(accept_encoding: str) -> bool:
    """Whether the header names gzip, in these letters, and not with `q=0` (which InfluxDB passes
    over).
    """
    for part in accept_encoding.split(","):
        name, _, parameter = part.partition(";")
        if name.strip(" \t") in ("gzip", "x-gzip"):
            quality = parameter.strip(" \t").lower().removeprefix("q=")
            return not quality or bool(quality.strip("0."))
    return False


class Compressor:
    """One answer's bytes, compressed piece by piece; each piece can be read when it arrives."""

    def __init__(self) -> None:
        self._gzip = zlib.compressobj(_LEVEL, wbits=_GZIP)

    def piece(self, part: bytes) -> bytes:
        return self._gzip.compress(part) + self._gzip.flush(zlib.Z_SYNC_FLUSH)

    def end(self, part: bytes = b"") -> bytes:
        return self._gzip.compress(part) + self._gzip.flush()


async def decompressed(parts: AsyncIterable[bytes], limit: int) -> AsyncGenerator[bytes, None]:
    """What the gzip stream in *parts* holds, in pieces of at most 64 KiB.

    Raises BadRequest for what is none, TooLarge as soon as it holds more than *limit* bytes
    (0: no limit).
    """
    gzip = zlib.decompressobj(_GZIP)
    size, members = 0, 1
    async for part in parts:
        while part:
            if gzip.eof:  # several members one after the other are one stream
                gzip = zlib.decompressobj(_GZIP)
                members += 1
                if members > _MOST_MEMBERS:
                    raise BadRequest("gzip: too many members")
            try:
                piece = gzip.decompress(part, _PIECE)
            except zlib.error:
                raise BadRequest("gzip: invalid data") from None
            size += len(piece)
            if limit and size > limit:
                raise TooLarge
            await asyncio.sleep(0)  # others have their turn
            yield piece
            part = gzip.unused_data if gzip.eof else gzip.unconsumed_tail
    if not gzip.eof:
        raise BadRequest("gzip: unexpected EOF")
