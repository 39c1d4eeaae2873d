"""The rights of groups: which mapping counts, and how several are joined."""

from collections.abc import Mapping

import pytest

from headgate_engine import TokenRights
from headgate_grammar import Privilege
from headgate_server.auth.ldap.group_rights import group_rights, is_allowed
from headgate_server.config.ldap import GroupMapping, LdapServerSettings

DEV = "cn=dev,ou=groups,dc=example,dc=org"
OPS = "cn=ops,ou=groups,dc=example,dc=org"
READ, WRITE, ALL, NONE = Privilege.READ, Privilege.WRITE, Privilege.ALL, Privilege.NONE


def server(*mappings: GroupMapping, allowed: tuple[str, ...] = ()) -> LdapServerSettings:
    return LdapServerSettings(
        host="ldap.example.org",
        search_base_dns=("dc=example,dc=org",),
        group_mappings=mappings,
        allowed_groups=allowed,
    )


def on(group: str, privilege: str, *databases: str, admin: bool = False) -> GroupMapping:
    return GroupMapping(group_dn=group, privilege=privilege, databases=databases, admin=admin)


@pytest.mark.parametrize(
    ("mappings", "groups", "grants", "everywhere", "admin"),
    [
        ([on(DEV, "READ", "a", "b")], [DEV], {"a": READ, "b": READ}, NONE, None),
        ([on(DEV, "READ", "a")], [OPS], {}, NONE, None),
        ([on(DEV, "READ", "a")], [DEV.upper().replace(",", " , ")], {"a": READ}, NONE, None),
        ([on(DEV.upper(), "READ", "a")], [DEV], {"a": READ}, NONE, None),
        ([on("*", "READ", "a")], [], {"a": READ}, NONE, None),
        ([on(DEV, "READ", "a"), on(OPS, "WRITE", "a")], [DEV, OPS], {"a": ALL}, NONE, None),
        ([on(DEV, "READ", "a"), on(OPS, "WRITE", "a")], [OPS], {"a": WRITE}, NONE, None),
        ([on(DEV, "Viewer", "a"), on(OPS, "Editor", "*")], [DEV, OPS], {"a": READ}, ALL, None),
        ([on(DEV, "NONE", admin=True)], [DEV], {}, NONE, True),
        ([on(DEV, "NONE", admin=True)], [OPS], {}, NONE, False),
        ([on(DEV, "READ", "a", admin=True)], [DEV], {"a": READ}, NONE, True),
        ([on("dev", "READ", "a")], ["Dev"], {"a": READ}, NONE, None),
    ],
)
def test_mappings_of_the_users_groups_are_joined(
    mappings: list[GroupMapping],
    groups: list[str],
    grants: Mapping[str, Privilege],
    everywhere: Privilege,
    admin: bool | None,
) -> None:
    found = group_rights(groups, server(*mappings))
    assert found == TokenRights(grants, everywhere, admin)


def test_groups_change_no_rights_without_mappings_without_sync_and_unknown() -> None:
    mapped = server(on("*", "ALL", "a"))
    assert group_rights([DEV], server()) is None
    assert group_rights([DEV], mapped, synced=False) is None
    assert group_rights(None, mapped) is None
    assert group_rights([], mapped) is not None


@pytest.mark.parametrize(
    ("allowed", "groups", "expected"),
    [
        ((), [], True),
        ((DEV,), [DEV], True),
        ((DEV,), [DEV.title()], True),
        ((DEV,), [OPS], False),
        ((DEV,), [], False),
        ((DEV, OPS), [OPS], True),
        (("*",), [], True),
        ((DEV,), [f"cn=x,{DEV}"], False),
    ],
)
def test_allowed_groups(allowed: tuple[str, ...], groups: list[str], expected: bool) -> None:
    assert is_allowed(groups, server(allowed=allowed)) is expected
