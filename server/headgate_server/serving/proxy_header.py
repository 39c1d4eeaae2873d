"""The header of the PROXY protocol, versions 1 and 2: a proxy names its client before all else.

Pure functions. The rules are those of HAProxy's specification, proxy-protocol.txt.
"""

import ipaddress
import re
from dataclasses import dataclass

# Version 2 allows 64 KiB. The addresses take 216 bytes at most, further values a few hundred.
MAX_HEADER_BYTES = 8 << 10
_MAX_V1_BYTES = 107  # section 2.1
_V1_START = b"PROXY "
_V2_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_V2_FIXED_BYTES = 16
_LOCAL, _PROXY = 0x20, 0x21  # version and command
_TCP4, _TCP6 = 0x11, 0x21  # address family and transport
# The size of the block of addresses, by the family in the upper four bits.
_ADDRESS_BYTES = {0x0: 0, 0x1: 12, 0x2: 36, 0x3: 216}
_MAX_TRANSPORT = 0x2
_V1_LINE = re.compile(
    rb"PROXY (TCP[46]) ([0-9a-fA-F.:]+) ([0-9a-fA-F.:]+) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4})"
)
_MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """A complete header of *size* bytes. *source* is the client's IP address.

    *source* is "" if the header names none: the proxy's own health check, or a protocol other than
    TCP over IP.
    """

    size: int
    source: str


@dataclass(frozen=True, slots=True)
class MalformedHeader:
    """An invalid header, for *reason*."""

    reason: str


def read_proxy_header(received: bytes) -> ProxyHeader | MalformedHeader | None:
    """Returns the header at the start of *received*, or None while it is incomplete.

    Bytes after the header have no effect. Once the result is no longer None, further bytes do not
    change it.
    """
    if received[: len(_V1_START)] == _V1_START:
        return _read_v1(received)
    if received[: len(_V2_SIGNATURE)] == _V2_SIGNATURE:
        return _read_v2(received)
    if _V1_START.startswith(received) or _V2_SIGNATURE.startswith(received):
        return None
    return MalformedHeader("missing")


def _read_v1(received: bytes) -> ProxyHeader | MalformedHeader | None:
    """Returns the header of version 1: one line of text."""
    end = received.find(b"\r\n", 0, _MAX_V1_BYTES)
    if end < 0:
        return MalformedHeader("too long") if len(received) >= _MAX_V1_BYTES else None
    line = received[:end]
    if line == b"PROXY UNKNOWN" or line.startswith(b"PROXY UNKNOWN "):
        return ProxyHeader(end + 2, "")
    fields = _V1_LINE.fullmatch(line)
    if fields is None or int(fields[4]) > _MAX_PORT or int(fields[5]) > _MAX_PORT:
        return MalformedHeader("malformed")
    version = 4 if fields[1] == b"TCP4" else 6
    try:
        source, destination = (ipaddress.ip_address(one.decode()) for one in fields.group(2, 3))
    except ValueError:
        return MalformedHeader("malformed")
    if source.version != version or destination.version != version:
        return MalformedHeader("malformed")
    return ProxyHeader(end + 2, _as_text(source))


def _read_v2(received: bytes) -> ProxyHeader | MalformedHeader | None:
    """Returns the header of version 2: 16 bytes, addresses and further values (TLV)."""
    if len(received) < _V2_FIXED_BYTES:
        return None
    command, family = received[12], received[13]
    size = _V2_FIXED_BYTES + int.from_bytes(received[14:16])
    if command not in (_LOCAL, _PROXY):
        return MalformedHeader("unknown version or command")
    if size > MAX_HEADER_BYTES:
        return MalformedHeader("too long")
    needed = _ADDRESS_BYTES.get(family >> 4)
    valid = needed is not None and family & 0xF <= _MAX_TRANSPORT
    # The family of a LOCAL connection is ignored (section 2.2).
    if command == _PROXY and not valid:
        return MalformedHeader("unknown address family")
    if command == _PROXY and size < _V2_FIXED_BYTES + (needed or 0):
        return MalformedHeader("too short for its addresses")
    if len(received) < size:
        return None
    if command == _PROXY and family == _TCP4:
        return ProxyHeader(size, _as_text(ipaddress.IPv4Address(received[16:20])))
    if command == _PROXY and family == _TCP6:
        return ProxyHeader(size, _as_text(ipaddress.IPv6Address(received[16:32])))
    return ProxyHeader(size, "")


def _as_text(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """Returns *address* as text. IPv4 within IPv6 (`::ffff:a.b.c.d`) becomes IPv4."""
    mapped = address.ipv4_mapped if address.version == 6 else None
    return str(mapped or address)
