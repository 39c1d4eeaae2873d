"""Parameters of URLs and forms, parsed as Go's net/url parses them."""

from urllib.parse import quote_from_bytes, unquote_to_bytes

from hypothesis import example, given
from hypothesis import strategies as st

from headgate_server.http.go_text import decode_utf8, replace_invalid
from headgate_server.http.urlencoded import parse_urlencoded


@given(st.binary(), st.binary(), st.text("=+%40aF\0\r\n \t"))
@example(b"a", b"=3D", "=3D=\n+")
@example(b"a", b"trailing \t", " \t\r\n")
def test_what_was_encoded_is_read_again(name: bytes, value: bytes, plain: str) -> None:
    encoded = f"{quote_from_bytes(name)}={quote_from_bytes(value)}".encode()
    assert parse_urlencoded(encoded) == (
        {} if not encoded else {decode_utf8(name): decode_utf8(value)}
    )
    bare = plain.encode().replace(b"%", b"%25")
    assert parse_urlencoded(b"x=" + bare) == {
        "x": decode_utf8(unquote_to_bytes(bare.replace(b"+", b" ")))
    }


@given(st.binary(max_size=100), st.integers(0, 40_000))
def test_each_byte_that_is_no_text_is_one_replacement(raw: bytes, before: int) -> None:
    text = decode_utf8(raw)
    assert replace_invalid("x" * before + text) == "x" * before + replace_invalid(text)
    assert len(replace_invalid(text)) == len(text)
