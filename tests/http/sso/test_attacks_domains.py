"""Domains of addresses that look as if they were allowed ones."""

import pytest

from headgate_server.auth.oauth.access_rules import canonical_domain, check_access
from headgate_server.auth.oauth.account import ProviderAccount
from headgate_server.auth.oauth.errors import AccessRefused
from headgate_server.config.oauth import OAuthSettings


def is_allowed(email: str, *domains: str) -> bool:
    """Returns whether an account with the verified address *email* may sign in."""
    account = ProviderAccount("1", "ann", email, True)
    try:
        check_access(account, OAuthSettings(kind="oidc", allowed_domains=domains))
    except AccessRefused:
        return False
    return True


@pytest.mark.parametrize(
    ("email", "domain", "allowed"),
    [
        # Since IDNA 2008 these names may have other owners.
        ("a@straße.example", "strasse.example", False),
        ("a@strasse.example", "straße.example", False),
        ("a@fa\u03c2.example", "fa\u03c3.example", False),
        ("a@a\u200db.example", "ab.example", False),
        ("a@straße.example", "straße.example", True),
        ("a@STRAßE.example", "xn--strae-oqa.example", True),
        # Without a form in ASCII, no address matches.
        ("a@b@c", "x..y", False),
        ("a", "x..y", False),
        ("a@x..y", "x..y", False),
        ("a@", "", False),
        (f"a@{'ü' * 80}", "ö" * 80, False),
        ("a@example.com.", "example.com", True),
        ("a@EXAMPLE.com", "Example.Com", True),
    ],
)
def test_an_address_has_the_domain_of_one_owner(email: str, domain: str, allowed: bool) -> None:
    assert is_allowed(email, domain) is allowed


def test_a_canonical_domain_is_its_own_canonical_domain() -> None:
    for domain in ("straße.example", "BÜCHER.example.", "fa\u03c2.example", "a.b.c"):
        once = canonical_domain(domain)
        assert once.isascii() and canonical_domain(once) == once
