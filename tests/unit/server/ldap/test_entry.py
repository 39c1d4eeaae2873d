"""Entries of users: what identifies them, and their names."""

import uuid

import pytest

from headgate_server.auth.ldap.entry import (
    FoundEntry,
    MissingAttribute,
    entry_of,
    subject_of,
    wanted_attributes,
)
from headgate_server.config.ldap import AttributeNames, LdapServerSettings

DN = "UID=Ann, dc=example,dc=org"
GUID = uuid.UUID("6bd5e80a-1f0c-4c0e-9d62-2f6f5a8f4a11")


def server(id_attribute: str = "", group_search_filter: str = "") -> LdapServerSettings:
    return LdapServerSettings(
        name="corp",
        host="h",
        search_base_dns=("dc=x",),
        id_attribute=id_attribute,
        group_search_filter=group_search_filter,
    )


def found(**attributes: str | bytes | tuple[str, ...]) -> FoundEntry:
    return FoundEntry(
        DN,
        {
            name.lower(): value if isinstance(value, tuple) else (value,)
            for name, value in attributes.items()
        },
    )


@pytest.mark.parametrize(
    ("entry", "id_attribute", "subject"),
    [
        (found(entryUUID="u-1", objectGUID=GUID.bytes_le), "", "u-1"),
        (found(objectGUID=GUID.bytes_le, nsUniqueId="n"), "", str(GUID)),
        (found(objectGUID=b"\x01\xff"), "", "01ff"),
        (found(ipaUniqueID="i", nsUniqueId="n"), "", "i"),
        (found(nsUniqueId="n"), "", "n"),
        (found(), "", "uid=ann,dc=example,dc=org"),
        (found(entryUUID=("a", "b")), "", "uid=ann,dc=example,dc=org"),
        (found(entryUUID="u", employeeNumber="7"), "employeeNumber", "7"),
        (found(entryUUID="u", employeeNumber="7"), "EMPLOYEENUMBER", "7"),
    ],
)
def test_what_identifies_an_entry(entry: FoundEntry, id_attribute: str, subject: str) -> None:
    assert subject_of(entry, server(id_attribute)) == subject


@pytest.mark.parametrize("values", [(), ("7", "8"), ("",)])
def test_an_entry_needs_the_attribute_that_was_set(values: tuple[str, ...]) -> None:
    with pytest.raises(MissingAttribute, match="employeeNumber"):
        subject_of(found(entryUUID="u", employeeNumber=values), server("employeeNumber"))


def test_the_names_of_a_user() -> None:
    entry = entry_of(found(uid="ann", sn="Smith", mail=("a@x", "b@x")), server(), ["g"])
    assert (entry.server, entry.dn, entry.username) == ("corp", DN, "ann")
    assert (entry.email, entry.full_name, entry.groups) == ("a@x", "Smith", ("g",))


def test_an_entry_needs_a_user_name() -> None:
    with pytest.raises(MissingAttribute, match="uid"):
        entry_of(found(cn="ann"), server(), [])


def test_each_attribute_is_asked_for_once() -> None:
    names = AttributeNames(username="cn", name="CN", member_of="groups")
    one = LdapServerSettings(host="h", search_base_dns=("dc=x",), attributes=names)
    assert wanted_attributes(one)[:4] == ["CN", "sn", "mail", "groups"]
    assert "memberOf" not in wanted_attributes(server(group_search_filter="(member=%s)"))
