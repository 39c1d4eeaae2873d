"""The entry of a user in a directory, and the attributes that Headgate reads from an entry."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headgate_server.auth.ldap.dn import comparable_dn
from headgate_server.auth.ldap.filters import escaped_assertion
from headgate_server.config.ldap import LdapServerSettings

# Attributes that never change during the life of an entry: of RFC 4530, Active Directory, FreeIPA
# and 389 Directory Server.
_ID_ATTRIBUTES = ("entryUUID", "objectGUID", "ipaUniqueID", "nsUniqueId")
_BINARY_ID = "objectGUID"


class MissingAttribute(Exception):
    """The entry lacks the attribute *name*, which the settings name."""

    def __init__(self, dn: str, name: str) -> None:
        super().__init__(f"{dn}: has not exactly one value of the attribute {name}")


@dataclass(frozen=True, slots=True)
class LdapEntry:
    """A user in a directory.

    - *server*: the name of the directory in the settings. *dn*: the distinguished name.
    - *subject*: identifies the entry in its directory, also after it was renamed.
    - *username*, *email*, *full_name*: "" for an absent e-mail address or name.
    - *groups*: the distinguished names of the user's groups, as the directory spells them; None if
      the account that read the entry cannot read them.
    """

    server: str
    dn: str
    subject: str
    username: str
    email: str
    full_name: str
    groups: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class FoundEntry:
    """An entry as a search returns it. The names of *attributes* are in lower case.

    A value is bytes if it is binary, or no UTF-8.
    """

    dn: str
    attributes: Mapping[str, Sequence[str | bytes]]

    def values(self, name: str) -> list[str]:
        """Returns the values of the attribute *name* that are texts."""
        return [one for one in self.attributes.get(name.lower(), ()) if isinstance(one, str)]

    def single(self, name: str) -> str:
        """Returns the first value of the attribute *name*, or ""."""
        return next(iter(self.values(name)), "")


def wanted_attributes(server: LdapServerSettings) -> list[str]:
    """Returns the names of the attributes that a search for a user asks for, each once."""
    names = server.attributes
    filter_attribute = server.group_search_filter_user_attribute
    wanted = [
        names.username,
        names.name,
        names.surname,
        names.email,
        "" if server.group_search_filter else names.member_of,
        filter_attribute if filter_attribute.lower() != "dn" else "",
        *([server.id_attribute] if server.id_attribute else _ID_ATTRIBUTES),
    ]
    return list({name.lower(): name for name in wanted if name}.values())


def subject_of(found: FoundEntry, server: LdapServerSettings) -> str:
    """Returns the text that identifies *found* in the directory *server*.

    It is the value of `id-attribute`. Without this setting, it is the first attribute of
    `entryUUID`, `objectGUID`, `ipaUniqueID` and `nsUniqueId`, else the normalized distinguished
    name. Raises MissingAttribute if the entry has not exactly one value of `id-attribute`.
    """
    names = [server.id_attribute] if server.id_attribute else _ID_ATTRIBUTES
    for name in names:
        values = found.attributes.get(name.lower(), ())
        if len(values) == 1 and values[0]:
            return _id_text(name, values[0])
    if server.id_attribute:
        raise MissingAttribute(found.dn, server.id_attribute)
    return comparable_dn(found.dn)


def subject_filter(subject: str, server: LdapServerSettings) -> str:
    """Returns the search filter (RFC 4515) of the entry that `subject_of` calls *subject*.

    Returns "" if *subject* is a distinguished name. Raises ValueError if it contains NUL.
    """
    if server.id_attribute and server.id_attribute.lower() != _BINARY_ID.lower():
        return f"({server.id_attribute}={escaped_assertion(subject)})"
    if "=" in subject:
        return ""
    names = [] if server.id_attribute else [it for it in _ID_ATTRIBUTES if it != _BINARY_ID]
    parts = [f"({name}={escaped_assertion(subject)})" for name in names]
    try:
        guid = uuid.UUID(subject).bytes_le
    except ValueError:
        guid = b""
    if guid:
        parts.append(f"({_BINARY_ID}={''.join(f'{chr(92)}{byte:02x}' for byte in guid)})")
    return f"(|{''.join(parts)})" if parts else ""


def _id_text(name: str, value: str | bytes) -> str:
    if isinstance(value, str):
        return value
    if name.lower() == _BINARY_ID.lower() and len(value) == 16:
        # Active Directory shows it in this form; the first three parts are little-endian.
        return str(uuid.UUID(bytes_le=value))
    return value.hex()


def entry_of(
    found: FoundEntry, server: LdapServerSettings, groups: Sequence[str] | None
) -> LdapEntry:
    """Returns the user whose entry in the directory *server* is *found*.

    Raises MissingAttribute if the entry lacks the user name or `id-attribute`.
    """
    names = server.attributes
    username = found.single(names.username)
    if not username:
        raise MissingAttribute(found.dn, names.username)
    parts = (found.single(names.name), found.single(names.surname))
    return LdapEntry(
        server=server.name,
        dn=found.dn,
        subject=subject_of(found, server),
        username=username,
        email=found.single(names.email),
        full_name=" ".join(filter(None, parts)),
        groups=None if groups is None else tuple(groups),
    )
