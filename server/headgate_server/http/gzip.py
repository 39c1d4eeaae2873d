"""Compresses responses with gzip, and decompresses request bodies. Uses zlib."""

import asyncio
import zlib
from collections.abc import AsyncGenerator, AsyncIterable, Iterator

from headgate_server.http.errors import BadRequest, TooLarge

_GZIP = 16 + zlib.MAX_WBITS
# Responses are small and many: speed matters more than size.
_LEVEL = 1
_PIECE_BYTES = 1 << 16
_MAX_MEMBERS = 100


def accepts_gzip(accept_encoding: str) -> bool:
    """Returns whether the header *accept_encoding* names gzip or x-gzip without `q=0`.

    The name must be in lower case. Unlike this function, InfluxDB ignores `q=0`.
    """
    for part in accept_encoding.split(",") if accept_encoding else ():
        name, _, parameter = part.partition(";")
        if name.strip(" \t") in ("gzip", "x-gzip"):
            quality = parameter.strip(" \t").lower().removeprefix("q=")
            return not quality or bool(quality.strip("0."))
    return False


def encode_body(content: bytes, *, gzip: bool) -> bytes:
    """Returns the whole body *content* as it is sent: compressed if *gzip* is true."""
    return Compressor().finish(content) if gzip else content


class Compressor:
    """Compresses one response piece by piece. Each piece can be decompressed when it arrives."""

    def __init__(self) -> None:
        self._gzip = zlib.compressobj(_LEVEL, wbits=_GZIP)

    def compress(self, part: bytes) -> bytes:
        """Returns *part* compressed, so that the client can decompress it before the next part."""
        return self._gzip.compress(part) + self._gzip.flush(zlib.Z_SYNC_FLUSH)

    def finish(self, part: bytes = b"") -> bytes:
        """Returns *part* compressed, followed by the end of the gzip stream."""
        return self._gzip.compress(part) + self._gzip.flush()


class Decompressor:
    """Decompresses a gzip stream as its parts arrive, to at most *limit* bytes (0: no limit)."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._gzip = zlib.decompressobj(_GZIP)
        self._size, self._members = 0, 1

    def decompress(self, part: bytes) -> Iterator[bytes]:
        """Yields *part* decompressed, in pieces of at most 64 KiB.

        Raises BadRequest for invalid data, TooLarge beyond *limit* bytes.
        """
        while part:
            if self._gzip.eof:  # several members one after the other are one stream
                self._gzip = zlib.decompressobj(_GZIP)
                self._members += 1
                if self._members > _MAX_MEMBERS:
                    raise BadRequest("gzip: too many members")
            try:
                piece = self._gzip.decompress(part, _PIECE_BYTES)
            except zlib.error:
                raise BadRequest("gzip: invalid data") from None
            self._size += len(piece)
            if self._limit and self._size > self._limit:
                raise TooLarge
            yield piece
            part = self._gzip.unused_data if self._gzip.eof else self._gzip.unconsumed_tail

    def finish(self) -> None:
        """Raises BadRequest if the stream is incomplete."""
        if not self._gzip.eof:
            raise BadRequest("gzip: unexpected EOF")


async def decompress(parts: AsyncIterable[bytes], limit: int) -> AsyncGenerator[bytes, None]:
    """Yields the content of the gzip stream in *parts*, in pieces of at most 64 KiB.

    Raises BadRequest for an invalid stream, TooLarge as soon as its content exceeds *limit* bytes
    (0: no limit).
    """
    unpacker = Decompressor(limit)
    async for part in parts:
        for piece in unpacker.decompress(part):
            await asyncio.sleep(0)  # other tasks can run
            yield piece
    unpacker.finish()


async def validate(parts: AsyncIterable[bytes], limit: int) -> AsyncGenerator[bytes, None]:
    """Yields the *parts* of a gzip stream unchanged.

    Decompresses each part before it is yielded, so that an invalid part is not forwarded. Raises
    BadRequest for an invalid stream, TooLarge as soon as its content exceeds *limit* bytes (0: no
    limit).
    """
    unpacker = Decompressor(limit)
    async for part in parts:
        for _ in unpacker.decompress(part):
            await asyncio.sleep(0)
        yield part
    unpacker.finish()
