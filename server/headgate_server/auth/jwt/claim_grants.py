"""The rights in a token's claims: grants on databases, and the admin flag.

A claim may name a role of Grafana, such as Viewer, instead of a privilege of InfluxQL.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headgate_engine import TokenRights
from headgate_grammar import Privilege
from headgate_server.auth.errors import NoRights
from headgate_server.config.claim_path import compile_path
from headgate_server.config.jwt import JwtSettings
from headgate_server.config.privilege_words import PRIVILEGE_WORDS

_ADMIN_ROLES = ("GrafanaAdmin", "admin")
_WILDCARD = "*"
_SEPARATOR = re.compile(r"(?<!\\):")


@dataclass(frozen=True, slots=True)
class GroupMapping:
    """An entry of the option `db-mapping`: members of *group* have *privilege* on *database*.

    The group "*" stands for all users, and the database "*" for all databases.
    """

    group: str
    database: str
    privilege: Privilege


@dataclass(slots=True)
class _GrantSum:
    """Adds up grants: *grants* has the privilege on each database.

    READ and WRITE on the same database become ALL.
    """

    grants: dict[str, Privilege] = field(default_factory=dict)

    def add(self, database: str, privilege: Privilege) -> None:
        self.grants[database] = self.grants.get(database, Privilege.NONE) | privilege


class ClaimMapper:
    """Maps a token's claims to rights by *settings*.

    Raises ValueError for an invalid setting: one line that names the option.
    """

    def __init__(self, settings: JwtSettings) -> None:
        self._settings = settings
        self._role = compile_path("role-attribute-path", settings.role_attribute_path)
        self._groups = compile_path("databases-attribute-path", settings.databases_attribute_path)
        self._grants = compile_path("grants-attribute-path", settings.grants_attribute_path)
        self._mapped = _parse_mappings(settings.db_mapping, strict=settings.role_attribute_strict)
        if settings.auto_assign_privilege not in PRIVILEGE_WORDS:
            raise ValueError("auto-assign-privilege: expected NONE, READ, WRITE or ALL")
        self._default = PRIVILEGE_WORDS[settings.auto_assign_privilege]

    def rights(self, claims: Mapping[str, Any]) -> TokenRights | None:
        """Returns the rights in *claims*.

        Returns None if the settings take no rights from claims. Raises NoRights if
        `role-attribute-strict` is set and *claims* have no rights.
        """
        settings = self._settings
        if settings.grant_sync == "off" or not settings.carries_rights:
            return None
        role = self._role(claims)
        wants_admin = isinstance(role, str) and role in _ADMIN_ROLES
        direct = Privilege.ALL if wants_admin else _privilege(role)
        found = _GrantSum()
        self._add_mapped(found, claims)
        self._add_claimed(found, claims)
        if found.grants:
            grants = {name: on | (direct or Privilege.NONE) for name, on in found.grants.items()}
        elif direct is not None:
            grants = dict.fromkeys(settings.auto_assign_databases, direct)
        elif settings.role_attribute_strict:
            raise NoRights
        else:
            grants = dict.fromkeys(settings.auto_assign_databases, self._default)
        everywhere = grants.pop(_WILDCARD, Privilege.NONE)
        return TokenRights(grants, everywhere, wants_admin if settings.allow_assign_admin else None)

    def _add_mapped(self, found: _GrantSum, claims: Mapping[str, Any]) -> None:
        groups = self._groups(claims)
        if isinstance(groups, str):
            groups = [groups]
        groups = groups if isinstance(groups, list) else []
        for entry in self._mapped:
            if entry.group == _WILDCARD or entry.group in groups:
                found.add(entry.database, entry.privilege)

    def _add_claimed(self, found: _GrantSum, claims: Mapping[str, Any]) -> None:
        claimed = self._grants(claims)
        pairs: list[tuple[Any, Any]] = []
        if isinstance(claimed, dict):
            pairs = list(claimed.items())
        elif isinstance(claimed, list):
            pairs = [
                (one.get("database"), one.get("privilege"))
                for one in claimed
                if isinstance(one, dict)
            ]
        for database, word in pairs:
            privilege = _privilege(word)
            if isinstance(database, str) and database != _WILDCARD and privilege is not None:
                found.add(database, privilege)


def _privilege(word: Any) -> Privilege | None:
    return PRIVILEGE_WORDS.get(word) if isinstance(word, str) else None


def _parse_mappings(entries: tuple[str, ...], *, strict: bool) -> list[GroupMapping]:
    found: list[GroupMapping] = []
    for entry in entries:
        # As in Grafana, `\:` stands for a colon. Any other backslash stands for itself.
        parts = [part.replace("\\:", ":") for part in _SEPARATOR.split(entry)]
        if len(parts) not in (2, 3) or not all(parts[:2]):
            raise ValueError(f"db-mapping: {entry!r}: expected GROUP:DATABASE:PRIVILEGE")
        word = parts[2] if len(parts) == 3 else ("" if strict else "READ")
        if word not in PRIVILEGE_WORDS:
            raise ValueError(f"db-mapping: {entry!r}: expected NONE, READ, WRITE or ALL at its end")
        one = GroupMapping(parts[0], parts[1], PRIVILEGE_WORDS[word])
        if any((one.group, one.database) == (it.group, it.database) for it in found):
            raise ValueError(f"db-mapping: {entry!r}: duplicate of another entry")
        found.append(one)
    return found
