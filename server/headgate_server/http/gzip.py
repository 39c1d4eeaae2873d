"""gzip, in answers and in what is written. Knows zlib."""

import asyncio
import zlib
from collections.abc import AsyncGenerator, AsyncIterable, Iterator

from headgate_server.http.errors import BadRequest, TooLarge

_GZIP = 16 + zlib.MAX_WBITS
# Answers are small and many: the time counts more than the last byte.
_LEVEL = 1
_PIECE = 1 << 16
_MOST_MEMBERS = 100


def takes_gzip(accept_encoding: str) -> bool:
    """Whether the header names gzip, in these letters, and not with `q=0` (which InfluxDB passes
    over).
    """
    for part in accept_encoding.split(",") if accept_encoding else ():
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


class Unpacker:
    """A gzip stream, taken apart as its parts come."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._gzip = zlib.decompressobj(_GZIP)
        self._size, self._members = 0, 1

    def pieces(self, part: bytes) -> Iterator[bytes]:
        """What *part* adds. Raises BadRequest, TooLarge."""
        while part:
            if self._gzip.eof:  # several members one after the other are one stream
                self._gzip = zlib.decompressobj(_GZIP)
                self._members += 1
                if self._members > _MOST_MEMBERS:
                    raise BadRequest("gzip: too many members")
            try:
                piece = self._gzip.decompress(part, _PIECE)
            except zlib.error:
                raise BadRequest("gzip: invalid data") from None
            self._size += len(piece)
            if self._limit and self._size > self._limit:
                raise TooLarge
            yield piece
            part = self._gzip.unused_data if self._gzip.eof else self._gzip.unconsumed_tail

    def end(self) -> None:
        """Raises BadRequest if more had to come."""
        if not self._gzip.eof:
            raise BadRequest("gzip: unexpected EOF")


async def decompressed(parts: AsyncIterable[bytes], limit: int) -> AsyncGenerator[bytes, None]:
    """What the gzip stream in *parts* holds, in pieces of at most 64 KiB.

    Raises BadRequest for what is none, TooLarge as soon as it holds more than *limit* bytes
    (0: no limit).
    """
    unpacker = Unpacker(limit)
    async for part in parts:
        for piece in unpacker.pieces(part):
            await asyncio.sleep(0)  # others have their turn
            yield piece
    unpacker.end()


async def checked(parts: AsyncIterable[bytes], limit: int) -> AsyncGenerator[bytes, None]:
    """The same *parts*, packed as they are, if `decompressed` does not raise."""
    unpacker = Unpacker(limit)
    async for part in parts:
        for _ in unpacker.pieces(part):
            await asyncio.sleep(0)
        yield part
    unpacker.end()
