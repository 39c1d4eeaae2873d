"""The settings in `[auth.ldap]`: directories that verify passwords, and the rights of groups.

The options have the names of Grafana's ldap.toml, with `-` or `_` between words. Where Grafana has
organizations, Headgate has databases. `config/ldap_reader.py` reads them.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from headgate_server.config.option_fields import option
from headgate_server.config.privilege_words import PRIVILEGE_WORDS
from headgate_server.config.values import integer, seconds

LDAP_SECTION = "auth.ldap"
_LDAP_PORT, _LDAPS_PORT = 389, 636
# In `bind-dn` and in filters, these characters stand for the user's name.
NAME_MARK = "%s"


def _names(value: Any) -> tuple[str, ...]:
    """Returns *value*, one distinguished name or a list of them, as a tuple.

    A distinguished name contains commas, so a text is never split.
    """
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list | tuple) or not all(isinstance(one, str) for one in listed):
        raise ValueError("expected a distinguished name or a list of them")
    return tuple(listed)


def _timeout(value: Any) -> float:
    """Returns *value*, a duration or a number of seconds as in Grafana, in seconds."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    found = float(integer(value)) if is_number else seconds(value)
    if not 0 < found <= 600:
        raise ValueError("expected a duration above 0s and at most 10m")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMapping:
    """The rights of the members of one group."""

    group_dn: str = option("Distinguished name of the group; `*`: every user")
    privilege: str = option(
        "`READ`, `WRITE` or `ALL`, or a role of Grafana; Grafana's name is `org_role`",
        "NONE",
        among=tuple(PRIVILEGE_WORDS),
    )
    databases: tuple[str, ...] = option(
        "Databases on which the privilege holds; `*`: every database", ()
    )
    admin: bool = option(
        "Members are administrators; Grafana's name is `grafana_admin` (note 1)", False
    )


@dataclass(frozen=True, slots=True)
class AttributeNames:
    """The names of the attributes that an entry of a user has in one directory."""

    username: str = option("Attribute of the user name", "uid")
    name: str = option("Attribute of the given name", "givenName")
    surname: str = option("Attribute of the family name", "sn")
    email: str = option("Attribute of the e-mail address", "mail")
    member_of: str = option("Attribute of the groups' distinguished names", "memberOf")


@dataclass(frozen=True, slots=True, kw_only=True)
class LdapServerSettings:
    """One directory. Times are in seconds."""

    name: str = option(
        "Name of the directory in identities (note 1)", "", default_doc="the first host"
    )
    host: str = option("Host; several, with blanks between them, are tried in order")
    port: int = option(
        "Port",
        0,
        most=65_535,
        default_doc="`389`; with `use-ssl` `636`",
    )
    use_ssl: bool = option("Connect by LDAPS", False)
    start_tls: bool = option("Change to TLS after connecting (STARTTLS)", False)
    root_ca_cert: str = option(
        "PEM file of the certificate authority", "", default_doc="the system's authorities"
    )
    client_cert: str = option("PEM file of the client certificate", "")
    client_key: str = option("PEM file of its private key", "")
    bind_dn: str = option(
        "Service account that searches; with `%s` the user themself; none: anonymous (note 2)", ""
    )
    bind_password: str = option(
        "Password of the service account",
        "",
        secret=True,
        file_doc="File of the password of the service account",
    )
    timeout: float = option("Longest time of each step; a number is seconds", 10.0, reader=_timeout)
    search_filter: str = option("Filter that finds the user; `%s` is the name", "(uid=%s)")
    search_base_dns: tuple[str, ...] = option(
        "Distinguished names below which users are searched", reader=_names
    )
    group_search_filter: str = option(
        "Filter that finds the user's groups; none: the groups are in `member-of`", ""
    )
    group_search_base_dns: tuple[str, ...] = option(
        "Distinguished names below which groups are searched",
        (),
        reader=_names,
        default_doc="`search-base-dns`",
    )
    group_search_filter_user_attribute: str = option(
        "Attribute of the user that `%s` stands for in `group-search-filter`; `dn`: the"
        " distinguished name",
        "",
        default_doc="the attribute of the user name",
    )
    groups_as: str = option(
        "Account that reads the groups: `service` or `user`",
        "service",
        among=("service", "user"),
    )
    id_attribute: str = option(
        "Attribute that identifies an entry for ever",
        "",
        default_doc="the first of `entryUUID`, `objectGUID`, `ipaUniqueID`, `nsUniqueId`; else the"
        " distinguished name",
    )
    allowed_groups: tuple[str, ...] = option(
        "Groups of which a user must be a member of one; none: every user",
        (),
        reader=_names,
    )
    attributes: AttributeNames = field(default_factory=AttributeNames)
    group_mappings: tuple[GroupMapping, ...] = ()

    @property
    def hosts(self) -> Sequence[str]:
        """The hosts, in the order in which they are tried."""
        return self.host.split()

    @property
    def actual_port(self) -> int:
        """The port: `port`, or the default of the protocol."""
        return self.port or (_LDAPS_PORT if self.use_ssl else _LDAP_PORT)

    @property
    def binds_directly(self) -> bool:
        """Whether the user binds before the search, so that there is no service account."""
        return NAME_MARK in self.bind_dn

    @property
    def is_encrypted(self) -> bool:
        """Whether the connection uses TLS."""
        return self.use_ssl or self.start_tls

    @property
    def is_loopback(self) -> bool:
        """Whether each host is this machine."""
        return all(_is_loopback(host) for host in self.hosts)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True, slots=True)
class LdapSettings:
    """The directories of users, in the order in which they are tried. Times are in seconds."""

    enabled: bool = option("Users may log in with their password in a directory", False)
    config_file: str = option("Grafana's `ldap.toml`, in place of `[[auth.ldap.servers]]`", "")
    basic: bool = option("Also accept these passwords in `Authorization`, `u` and `p`", False)
    cache_ttl: float = option("Time that a verified password is remembered, with `basic`", 60.0)
    allow_sign_up: bool = option("Create a user for a new identity", True)
    recheck_interval: float = option(
        "Time after which the entry of a signed-in user is read again", 600.0
    )
    allow_plain: bool = option("Send passwords to other machines without TLS", False)
    grant_sync: str = option(
        "How groups change the user's grants at a login: `persist` or `off`",
        "persist",
        among=("persist", "off"),
    )
    servers: tuple[LdapServerSettings, ...] = ()

    def server_named(self, name: str) -> LdapServerSettings:
        """Returns the first server with *name*. Raises LookupError if there is none."""
        for server in self.servers:
            if server.name == name:
                return server
        raise LookupError(name)
