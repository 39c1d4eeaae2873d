"""Search filters and the limits of names and passwords: what a directory may receive."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate_server.auth.ldap.credential_limits import may_be_sent
from headgate_server.auth.ldap.filters import escaped_assertion, filled_filter

_ESCAPE = re.compile(r"\\([0-9a-f]{2})")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ann", "(uid=ann)"),
        ("*", r"(uid=\2a)"),
        (")(uid=*", r"(uid=\29\28uid=\2a)"),
        ("a\\2ab", r"(uid=a\5c2ab)"),
        ("%s", "(uid=%s)"),
    ],
)
def test_a_name_is_escaped_in_a_filter(name: str, expected: str) -> None:
    assert filled_filter("(uid=%s)", name) == expected


def test_each_mark_stands_for_the_name() -> None:
    assert filled_filter("(|(uid=%s)(mail=%s))", "a*") == r"(|(uid=a\2a)(mail=a\2a))"


def test_nul_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        filled_filter("(uid=%s)", "ann\0")


@given(st.text(st.characters(exclude_characters="\0")))
def test_an_escaped_value_has_no_sign_of_a_filter_and_can_be_read_back(value: str) -> None:
    escaped = escaped_assertion(value)
    assert not set(escaped) & set("()*")
    assert _ESCAPE.sub(lambda found: chr(int(found[1], 16)), escaped) == value


@pytest.mark.parametrize(
    ("name", "password", "sent"),
    [
        ("ann", "secret", True),
        ("ann", "", False),
        ("", "secret", False),
        ("ann\0", "secret", False),
        ("ann", "secret\0", False),
        ("a" * 256, "secret", True),
        ("a" * 257, "secret", False),
        ("\u00fc" * 129, "secret", False),
        ("ann", "p" * 1024, True),
        ("ann", "p" * 1025, False),
        ("ann", "p" * 1_000_000, False),
        ("ann\udcff", "secret", False),
        ("ann", "secret\udcff", False),
    ],
)
def test_what_may_be_sent(name: str, password: str, sent: bool) -> None:
    assert may_be_sent(name, password) is sent
