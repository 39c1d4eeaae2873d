"""The rights of a directory's groups: which users may log in, their grants and the admin flag."""

from collections.abc import Iterable

from headgate_engine import TokenRights
from headgate_grammar import Privilege
from headgate_server.auth.ldap.dn import comparable_dn
from headgate_server.config.ldap import LdapServerSettings
from headgate_server.config.privilege_words import PRIVILEGE_WORDS

_WILDCARD = "*"


def is_allowed(groups: Iterable[str], server: LdapServerSettings) -> bool:
    """Returns whether a member of *groups* may log in by the option `allowed-groups`.

    *groups* are distinguished names in any spelling.
    """
    if not server.allowed_groups:
        return True
    members_of = _comparable(groups)
    return any(_is_member(group, members_of) for group in server.allowed_groups)


def group_rights(
    groups: Iterable[str] | None, server: LdapServerSettings, *, synced: bool = True
) -> TokenRights | None:
    """Returns the rights of a member of *groups* by the option `group-mappings`.

    READ and WRITE on one database become ALL, as with the claims of a token. Returns None if groups
    change no rights: without `group-mappings`, if *synced* is False (`grant-sync = "off"`), or if
    *groups* is None, which means unknown.
    """
    if groups is None or not synced or not server.group_mappings:
        return None
    members_of = _comparable(groups)
    grants: dict[str, Privilege] = {}
    wants_admin = False
    for mapping in server.group_mappings:
        if not _is_member(mapping.group_dn, members_of):
            continue
        wants_admin = wants_admin or mapping.admin
        privilege = PRIVILEGE_WORDS[mapping.privilege]
        for database in mapping.databases:
            grants[database] = grants.get(database, Privilege.NONE) | privilege
    everywhere = grants.pop(_WILDCARD, Privilege.NONE)
    decides_admin = any(mapping.admin for mapping in server.group_mappings)
    return TokenRights(grants, everywhere, wants_admin if decides_admin else None)


def _comparable(groups: Iterable[str]) -> set[str]:
    return {comparable_dn(group) for group in groups}


def _is_member(group: str, members_of: set[str]) -> bool:
    return group == _WILDCARD or comparable_dn(group) in members_of
