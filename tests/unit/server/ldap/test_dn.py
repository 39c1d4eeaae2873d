"""Distinguished names: all spellings of one name are equal, and values are escaped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate_server.auth.ldap.dn import (
    InvalidDN,
    comparable_dn,
    escaped_value,
    normalized_dn,
)

ADMINS = "cn=admins,ou=groups,dc=example,dc=org"
UMLAUT = "cn=\u00fc,dc=x"


@pytest.mark.parametrize(
    ("spelling", "normal"),
    [
        (ADMINS, ADMINS),
        ("CN=Admins, OU=Groups , DC=example,DC=ORG", ADMINS),
        ("2.5.4.3=admins;2.5.4.11=groups;dc=example;dc=org", ADMINS),
        ("OID.2.5.4.3=admins,ou=groups,dc=example,dc=org", ADMINS),
        ('cn="admins",ou=groups,dc=example,dc=org', ADMINS),
        (r"cn=\61dmins,ou=groups,dc=example,dc=org", ADMINS),
        ("cn=a   b,dc=x", "cn=a b,dc=x"),
        (r"cn=a\, b,dc=x", r"cn=a\, b,dc=x"),
        (r"cn=a\2c b,dc=x", r"cn=a\, b,dc=x"),
        ('cn="a, b",dc=x', r"cn=a\, b,dc=x"),
        ("uid=b+cn=a,dc=x", "cn=a+uid=b,dc=x"),
        (r"cn=\C3\BC,dc=x", UMLAUT),
        (r"cn=\c3\9c,dc=x", UMLAUT),
        ("cn=#04024869,dc=x", "cn=#04024869,dc=x"),
        (r"cn=\#04,dc=x", r"cn=\#04,dc=x"),
        ("cn=a=b,dc=x", "cn=a=b,dc=x"),
        ("cn=,dc=x", "cn=,dc=x"),
        ("", ""),
    ],
)
def test_spellings_of_a_name_become_one(spelling: str, normal: str) -> None:
    assert normalized_dn(spelling) == normal
    assert normalized_dn(normal) == normal


@pytest.mark.parametrize(
    "text",
    [
        "admins",
        "=a",
        "cn",
        "cn=a,",
        ",cn=a",
        "cn=a,,dc=x",
        "cn=a\\",
        r"cn=\zz",
        r"cn=\ff",
        'cn="a',
        'cn="a"b',
        'cn=a"b',
        "cn=a<b",
        "cn=a\0b",
        "cn=#0",
        "cn=#zz",
        "c n=a",
        "cn=\ud800",
    ],
)
def test_other_texts_are_invalid(text: str) -> None:
    with pytest.raises(InvalidDN):
        normalized_dn(text)


def test_a_name_without_parts_is_compared_without_case() -> None:
    assert comparable_dn(" Admins") == comparable_dn("admins")


@pytest.mark.parametrize(
    ("value", "escaped"),
    [
        ("ann", "ann"),
        ("", ""),
        (" ", "\\ "),
        (" a b ", "\\ a b\\ "),
        ("\\ ", "\\\\\\ "),
        ("#a#", "\\#a#"),
        ("a,b+c", "a\\,b\\+c"),
        ("\0", "\\00"),
    ],
)
def test_a_value_is_escaped(value: str, escaped: str) -> None:
    assert escaped_value(value) == escaped


def test_values_that_differ_stay_different() -> None:
    names = {normalized_dn(f"cn={escaped_value(value)},dc=x") for value in ("a,dc=x", "a", "a+b=c")}
    assert len(names) == 3


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(st.lists(texts, min_size=1, max_size=3))
def test_an_escaped_value_stays_one_value(values: list[str]) -> None:
    dn = ",".join(f"cn={escaped_value(value)}" for value in values)
    normal = normalized_dn(dn)
    assert normalized_dn(normal) == normal
    assert normal == ",".join(normalized_dn(f"cn={escaped_value(value)}") for value in values)


@given(texts)
def test_every_text_can_be_compared(text: str) -> None:
    assert comparable_dn(text) == comparable_dn(comparable_dn(text))
