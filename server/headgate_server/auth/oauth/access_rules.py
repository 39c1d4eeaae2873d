"""Which accounts of a provider may sign in: by address, organization, group or team.

Pure functions.
"""

import unicodedata
from collections.abc import Collection

from headgate_server.auth.oauth.account import ProviderAccount
from headgate_server.auth.oauth.errors import AccessRefused
from headgate_server.config.oauth import OAuthSettings

_DEVIATIONS = frozenset("\u00df\u03c2\u200c\u200d")


def check_access(account: ProviderAccount, settings: OAuthSettings) -> None:
    """Raises AccessRefused unless each restriction in *settings* allows *account*."""
    if settings.allowed_domains:
        if not account.email_verified:
            raise AccessRefused("allowed-domains: the address is not verified")
        domain = domain_of(account.email)
        if not domain or domain not in map(canonical_domain, settings.allowed_domains):
            raise AccessRefused("allowed-domains: another domain")
        if settings.kind == "google" and settings.validate_hd:
            hosted = account.claims.get("hd")
            if not isinstance(hosted, str) or hosted not in settings.allowed_domains:
                raise AccessRefused("validate-hd: hd is not one of allowed-domains")
    for option, needed, held in (
        ("allowed-organizations", settings.allowed_organizations, account.organizations),
        ("allowed-groups", settings.allowed_groups, account.groups),
        ("team-ids", settings.team_ids, account.team_ids),
    ):
        if needed and not _shares(needed, held):
            raise AccessRefused(f"{option}: member of none")


def _shares(needed: Collection[str], held: Collection[str]) -> bool:
    return not set(needed).isdisjoint(held)


def domain_of(email: str) -> str:
    """Returns the canonical domain of the address *email*; "" for no address.

    An address has one `@`: with two, it is unclear which domain is meant.
    """
    local, at, domain = email.partition("@")
    return canonical_domain(domain) if local and at and "@" not in domain else ""


def canonical_domain(domain: str) -> str:
    """Returns *domain* in lower case and in ASCII (IDNA); "" if it has no such form.

    Python's codec takes `ß`, `ς` and joiners for other letters or none, as IDNA 2003 did. Since
    IDNA 2008 (RFC 5894, section 7.2) such a name may have another owner.
    """
    lower = unicodedata.normalize("NFC", domain.lower().rstrip("."))
    try:
        return ".".join(map(_ascii_label, lower.split("."))).lower()
    except UnicodeError:
        return ""


def _ascii_label(label: str) -> str:
    if not label:
        raise UnicodeError
    if _DEVIATIONS.isdisjoint(label):
        return label.encode("idna").decode()
    return f"xn--{label.encode('punycode').decode()}"
