"""Texts that are no origin, though a part of them is one."""

import pytest

from headgate_server.http.cross_site import is_origin


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("https://h.example", True),
        ("https://h.example/", True),
        ("http://[::1]:8086", True),
        ("HTTP://H.EXAMPLE", True),
        ("https://root@h.example", False),
        ("https://root:pw@h.example", False),
        ("https://h.example\\@evil.example", False),
        ("https://h .example", False),
        ("https://h.example\x7f", False),
        ("https://h.\u200bexample", False),
        ("https://h.example/path", False),
        ("https://h.example?x", False),
        ("https://h.example#x", False),
        ("https://h.example:99999", False),
        ("//h.example", False),
        ("https://", False),
    ],
)
def test_an_origin_is_a_scheme_a_host_and_a_port(text: str, found: bool) -> None:
    assert is_origin(text) is found
