"""The parser of PROXY headers: a table of both versions, and any bytes in any pieces."""

import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate_server.serving.proxy_header import (
    MAX_HEADER_BYTES,
    MalformedHeader,
    ProxyHeader,
    read_proxy_header,
)

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
IP4 = bytes([203, 0, 113, 7, 10, 0, 0, 1]) + struct.pack("!HH", 4711, 443)
IP6 = ip_address("2001:db8::1").packed + ip_address("::1").packed + struct.pack("!HH", 1, 2)
MAPPED = ip_address("::ffff:203.0.113.7").packed + IP6[16:]


def v2(command: int, family: int, content: bytes, length: int | None = None) -> bytes:
    """Returns a header of version 2 with *content* after its first 16 bytes."""
    size = len(content) if length is None else length
    return SIGNATURE + struct.pack("!BBH", command, family, size) + content


# A header, and its source address.
VALID = [
    (b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\r\n", "203.0.113.7"),
    (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255"),
    (b"PROXY TCP6 2001:db8::1 ::1 0 443\r\n", "2001:db8::1"),
    (b"PROXY TCP6 ::ffff:203.0.113.7 ::1 1 2\r\n", "203.0.113.7"),
    (b"PROXY UNKNOWN\r\n", ""),
    (b"PROXY UNKNOWN " + b"f" * 91 + b"\r\n", ""),
    (v2(0x21, 0x11, IP4), "203.0.113.7"),
    (v2(0x21, 0x11, IP4 + b"\x01\0\x02h2"), "203.0.113.7"),
    (v2(0x21, 0x21, IP6), "2001:db8::1"),
    (v2(0x21, 0x21, MAPPED), "203.0.113.7"),
    (v2(0x21, 0x11, IP4 + bytes(MAX_HEADER_BYTES - 28)), "203.0.113.7"),
    # The proxy's own connection, and protocols other than TCP over IP.
    (v2(0x20, 0x00, b""), ""),
    (v2(0x20, 0x11, IP4), ""),
    (v2(0x20, 0xFF, b"anything"), ""),
    (v2(0x21, 0x00, b""), ""),
    (v2(0x21, 0x12, IP4), ""),
    (v2(0x21, 0x31, bytes(216)), ""),
]
INVALID = [
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01\x02\0",  # TLS
    b"\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    b"proxy TCP4 203.0.113.7 10.0.0.1 4711 443\r\n",
    b"PROXY  TCP4 203.0.113.7 10.0.0.1 4711 443\r\n",
    b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 443 \r\n",
    b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\n\r\n",
    b"PROXY TCP4 203.0.113.7 10.0.0.1 4711\r\n",
    b"PROXY TCP4 203.0.113.7 10.0.0.1 65536 443\r\n",
    b"PROXY TCP4 203.0.113.7 10.0.0.1 04711 443\r\n",
    b"PROXY TCP4 203.0.113.7 10.0.0.1 -1 443\r\n",
    b"PROXY TCP4 203.0.113.07 10.0.0.1 4711 443\r\n",
    b"PROXY TCP4 203.0.113 10.0.0.1 4711 443\r\n",
    b"PROXY TCP4 2001:db8::1 ::1 4711 443\r\n",
    b"PROXY TCP6 203.0.113.7 10.0.0.1 4711 443\r\n",
    b"PROXY TCP6 fe80::1%eth0 ::1 4711 443\r\n",
    b"PROXY UDP4 203.0.113.7 10.0.0.1 4711 443\r\n",
    b"PROXY UNKNOWNS\r\n",
    b"PROXY UNKNOWN " + b"f" * 92 + b"\r\n",
    b"PROXY TCP4 " + b"1" * 200,
    v2(0x11, 0x11, IP4),
    v2(0x22, 0x11, IP4),
    v2(0x21, 0x41, IP4),
    v2(0x21, 0x13, IP4),
    v2(0x21, 0x11, IP4[:11]),
    v2(0x21, 0x21, IP6[:35]),
    v2(0x21, 0x31, bytes(215)),
    v2(0x21, 0x11, IP4, MAX_HEADER_BYTES - 15),
    v2(0x20, 0x00, b"", 0xFFFF),
]


@pytest.mark.parametrize(("header", "source"), VALID)
def test_a_valid_header_has_its_size_and_its_source(header: bytes, source: str) -> None:
    assert read_proxy_header(header) == ProxyHeader(len(header), source)
    assert read_proxy_header(header + b"GET / HTTP/1.1") == ProxyHeader(len(header), source)
    assert all(read_proxy_header(header[:end]) is None for end in range(len(header)))


@pytest.mark.parametrize("header", INVALID)
def test_an_invalid_header_is_malformed(header: bytes) -> None:
    assert isinstance(read_proxy_header(header), MalformedHeader)


def _pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    ends = sorted(cut % (len(data) + 1) for cut in cuts) + [len(data)]
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


STARTS = st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11\0\x0c"])
HEADERS = st.sampled_from([header for header, _ in VALID] + INVALID)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Returns a header of the tables with one byte replaced, and bytes after it."""
    header = bytearray(draw(HEADERS))
    header[draw(st.integers(0, len(header) - 1))] = draw(st.integers(0, 255))
    return bytes(header) + draw(st.binary(max_size=20))


@given(st.builds(bytes.__add__, STARTS, st.binary(max_size=300)) | damaged(), st.data())
def test_pieces_have_the_result_of_the_whole(received: bytes, data: st.DataObject) -> None:
    whole = read_proxy_header(received)
    cuts = data.draw(st.lists(st.integers(0, len(received)), max_size=8))
    so_far, found = b"", None
    for piece in _pieces(received, cuts):
        so_far += piece
        found = read_proxy_header(so_far)
        if found is not None:
            assert found == whole
    assert found == whole
