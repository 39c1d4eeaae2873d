"""Reads the settings in `[auth.ldap]`, and the file ldap.toml of Grafana."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from headgate_grammar import Privilege
from headgate_server.config.ldap import (
    NAME_MARK,
    AttributeNames,
    GroupMapping,
    LdapServerSettings,
    LdapSettings,
)
from headgate_server.config.option_fields import read_table
from headgate_server.config.privilege_words import PRIVILEGE_WORDS
from headgate_server.config.text_file import read_text
from headgate_server.config.values import boolean, text

_ALIASES = {"org-role": "privilege", "grafana-admin": "admin"}
_EVERY_DATABASE = "*"
_MAIN_ORGANIZATION = 1  # Grafana's default, in which users are if it has no other organization
# Options of Grafana's file without a counterpart. TLS is 1.2 or newer in any case.
_IGNORED = ("tls-ciphers", "min-tls-version")
_VARIABLE_MARKS = ("$__", "${")  # Grafana replaces such texts by files or variables


def canonical_ldap_key(key: str) -> str:
    """Returns the name of the option that *key* of `[auth.ldap]` sets.

    *key* may have `_` for `-`, or be one of Grafana's names, such as `org_role`.
    """
    dashed = key.replace("_", "-")
    return _ALIASES.get(dashed, dashed)


def read_ldap_settings(table: Mapping[str, Any], notices: list[str]) -> LdapSettings:
    """Returns the settings in the TOML *table*, and those of the file that it names.

    Appends a sentence to *notices* for each option of that file that is ignored. Raises ValueError
    for an invalid setting: one line that begins with the option.
    """
    given = _canonical(table)
    servers = given.pop("servers", None)
    given = _with_grant_sync(given)
    settings = LdapSettings(**read_table(LdapSettings, given))
    if settings.config_file:
        if servers is not None:
            raise ValueError("config-file and servers: expected one of them")
        found = _read_foreign_file(settings.config_file, notices)
    else:
        found = tuple(_read_server(one, _Source()) for one in _tables("servers", servers or []))
    return replace(settings, servers=found)


@dataclass(frozen=True, slots=True)
class _Source:
    """Where servers are read from: Headgate's file, or Grafana's if *foreign* is its path."""

    foreign: str = ""
    notices: list[str] | None = None

    def notice(self, sentence: str) -> None:
        if self.notices is not None:
            self.notices.append(f"{self.foreign}: {sentence}")


def _canonical(table: Mapping[str, Any]) -> dict[str, Any]:
    """Returns *table* with Headgate's names. Raises ValueError if two keys set one option."""
    values: dict[str, Any] = {}
    for key, value in table.items():
        name = canonical_ldap_key(key)
        if name in values:
            raise ValueError(f"{key}: the option {name} is set twice")
        values[name] = value
    return values


def _with_grant_sync(given: dict[str, Any]) -> dict[str, Any]:
    """Returns *given* with `grant-sync` in place of Grafana's `skip_org_role_sync`."""
    if "skip-org-role-sync" not in given:
        return given
    if "grant-sync" in given:
        raise ValueError("skip-org-role-sync: expected either this or grant-sync")
    rest = {key: value for key, value in given.items() if key != "skip-org-role-sync"}
    try:
        unsynced = boolean(given["skip-org-role-sync"])
    except ValueError as error:
        raise ValueError(f"skip-org-role-sync: {error}") from None
    return rest | ({"grant-sync": "off"} if unsynced else {})


def _tables(key: str, value: Any) -> Iterable[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise ValueError(f"{key}: expected tables")
    return value


def _read_foreign_file(path: str, notices: list[str]) -> tuple[LdapServerSettings, ...]:
    """Returns the servers in the file *path*, which is in the format of Grafana's ldap.toml."""
    where = f"config-file {path}"
    try:
        document = tomllib.loads(read_text(path))
    except OSError as error:
        raise ValueError(f"{where}: {error.strerror}") from None
    except (ValueError, RecursionError):
        # The text of the error may contain a part of the file, such as a password.
        raise ValueError(f"{where}: no TOML") from None
    try:
        given = _canonical(document)
        source = _Source(path, notices)
        found = tuple(
            _read_server(one, source) for one in _tables("servers", given.pop("servers", []))
        )
        if not found:
            raise ValueError("expected tables: [[servers]]")
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    for key in given:
        source.notice(f"{key} is not one of Headgate's, ignored")
    return found


def _read_server(table: Mapping[str, Any], source: _Source) -> LdapServerSettings:
    given = _canonical(table)
    label = given.get("name") or given.get("host")
    try:
        if boolean(given.pop("ssl-skip-verify", False)):
            raise ValueError(
                "ssl-skip-verify: certificates are always verified: give root-ca-cert in its place"
            )
        if source.foreign:
            for key in [key for key in _IGNORED if key in given]:
                del given[key]
                source.notice(f"{key} is not one of Headgate's, ignored")
        attributes = _read_attributes(given.pop("attributes", {}))
        mappings = tuple(
            _read_mapping(one, source)
            for one in _tables("group-mappings", given.pop("group-mappings", []))
        )
        values = read_table(LdapServerSettings, given)
        for required in ("host", "search-base-dns"):
            if not given.get(required):
                raise ValueError(f"{required}: expected a value")
        settings = LdapServerSettings(**values, attributes=attributes, group_mappings=mappings)
        settings = replace(settings, name=settings.name or settings.hosts[0])
        _check_server(settings)
    except ValueError as error:
        raise ValueError(f"servers{f' {label!r}' if label else ''}: {error}") from None
    return settings


def _read_attributes(value: Any) -> AttributeNames:
    if not isinstance(value, dict):
        raise ValueError("attributes: expected a table")
    try:
        return AttributeNames(**read_table(AttributeNames, _canonical(value)))
    except ValueError as error:
        raise ValueError(f"attributes: {error}") from None


def _check_server(settings: LdapServerSettings) -> None:
    if not settings.hosts:
        raise ValueError("host: expected a host")
    if settings.use_ssl and settings.start_tls:
        raise ValueError("use-ssl and start-tls: expected one of them")
    if settings.client_key and not settings.client_cert:
        raise ValueError("client-key: expected client-cert beside it")
    for key, pattern in (
        ("search-filter", settings.search_filter),
        ("group-search-filter", settings.group_search_filter or NAME_MARK),
    ):
        if NAME_MARK not in pattern:
            raise ValueError(f"{key}: expected {NAME_MARK}, which stands for the user")
    if not settings.attributes.username:
        raise ValueError("attributes: username: expected a name")
    if settings.bind_password.startswith(_VARIABLE_MARKS):
        raise ValueError("bind-password: expected the password itself, or bind-password-file")


def _read_mapping(table: Mapping[str, Any], source: _Source) -> GroupMapping:
    given = _canonical(table)
    group = given.get("group-dn")
    try:
        if not text(group or ""):
            raise ValueError("group-dn: expected a distinguished name or *")
        if given.pop("org-id", _MAIN_ORGANIZATION) != _MAIN_ORGANIZATION:
            raise ValueError("org-id: Headgate has no organizations: give databases in its place")
        mapping = GroupMapping(**read_table(GroupMapping, given))
        granted = PRIVILEGE_WORDS[mapping.privilege] is not Privilege.NONE
        if not granted and not mapping.admin and "privilege" not in given:
            raise ValueError("privilege: expected READ, WRITE or ALL")
        if granted and not mapping.databases:
            if not source.foreign:
                raise ValueError('databases: expected names, or ["*"] for every database')
            source.notice(f"group {group!r} names no databases: it has its role on every database")
            mapping = replace(mapping, databases=(_EVERY_DATABASE,))
    except ValueError as error:
        raise ValueError(f"group-mappings{f' {group!r}' if group else ''}: {error}") from None
    return mapping
