"""Urlencoded text, parsed by the rules of Go's ParseQuery, which InfluxDB uses."""

import re
from binascii import a2b_qp
from collections.abc import Iterator

from headgate_server.http.errors import BadRequest
from headgate_server.http.go_text import decode_utf8

Pairs = dict[str, str]
_MAX_PAIRS = 1000
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def parse_urlencoded(encoded: bytes) -> Pairs:
    """Returns the first value of each name in an urlencoded text.

    A pair `name=value` with a broken %-escape or an unescaped `;` is dropped. Bytes of invalid
    UTF-8 become surrogates, see `decode_utf8`.
    """
    found: Pairs = {}
    for name, value in iterate_pairs(encoded):
        found.setdefault(name, value)
    return found


def iterate_pairs(encoded: bytes) -> Iterator[tuple[str, str]]:
    """Yields all pairs of name and value in an urlencoded text, in order.

    A pair with a broken %-escape or an unescaped `;` is dropped.
    """
    escaped = b"%" in encoded
    for pair in encoded.split(b"&"):
        if not pair or b";" in pair or (escaped and _BROKEN_ESCAPE.search(pair)):
            continue
        name, _, value = pair.partition(b"=")
        if escaped or b"+" in pair:
            yield _decode(name), _decode(value)
        else:
            yield name.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape")


def check_pair_count(encoded: bytes) -> None:
    """Raises BadRequest for too many pairs in an urlencoded text."""
    if encoded.count(b"&") > _MAX_PAIRS:
        raise BadRequest(f"too many parameters: at most {_MAX_PAIRS}")


def _decode(encoded: bytes) -> str:
    plain = encoded.replace(b"+", b" ")
    if b"%" not in plain:
        return decode_utf8(plain)
    # A %-escape is a quoted-printable escape with `%` in place of `=`. The decoder of urllib would
    # use 80 bytes of memory for each escape.
    return decode_utf8(a2b_qp(plain.replace(b"=", b"=3D").replace(b"%", b"=")))
