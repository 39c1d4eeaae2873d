"""Logins by a directory, Debian's slapd: binds, searches, groups, TLS and several servers."""

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from headgate_server.auth.errors import DirectoryUnavailable
from headgate_server.auth.ldap.entry import LdapEntry
from support.ldap_fixtures import (
    authority,
    find,
    ldap_settings,
    needs_slapd,
    one_server,
    slapd,
    unavailable,
)
from support.slapd import GROUPS, PEOPLE, SUFFIX, Slapd
from support.waiting import free_port

__all__ = ["authority", "slapd"]
pytestmark = needs_slapd

ANN, DEV, OPS = f"uid=ann,{PEOPLE}", f"cn=dev,{GROUPS}", f"cn=ops,{GROUPS}"
GROUPS_FOR_USERS_ONLY = """\
access to attrs=userPassword by anonymous auth
access to attrs=memberOf by self read
access to dn.subtree="ou=groups,dc=example,dc=org" by dn.subtree="ou=people,dc=example,dc=org" read
access to * by * read
"""


def look_up(dn: str, server: dict[str, Any]) -> LdapEntry | None:
    from headgate_server.auth.ldap.directory import LdapDirectory

    async def run() -> LdapEntry | None:
        return await LdapDirectory(ldap_settings(server)).look_up("corp", dn)

    return asyncio.run(run())


def test_a_user_with_the_right_password_is_found(slapd: Slapd) -> None:
    entry = find("ann", "ann-secret", one_server(slapd.port))
    assert entry is not None and len(entry.subject) == 36
    assert entry == LdapEntry(
        "corp", ANN, entry.subject, "ann", "ann@example.org", "Ann ann", (DEV, OPS)
    )
    # A directory ignores case and blanks around a name, and the entry has the spelling that counts.
    assert find(" ANN ", "ann-secret", one_server(slapd.port)) == entry


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("ann", "bob-secret"),
        ("ann", "ann-secret "),
        ("eve", "ann-secret"),
        ("", "ann-secret"),
        ("ann", ""),
        ("*", "ann-secret"),
        ("a*", "ann-secret"),
        ("ann)(uid=*", "ann-secret"),
        (")(uid=*", "ann-secret"),
        ("ann))(|(uid=*", "ann-secret"),
        ("ann\\", "ann-secret"),
        ("ann\0", "ann-secret"),
        ("ann", "ann-secret\0"),
        ("ann\udcff", "ann-secret"),
        (ANN, "ann-secret"),
        ("a" * 1_000_000, "ann-secret"),
        ("ann", "a" * 1_000_000),
    ],
)
@pytest.mark.parametrize("bind_dn", ["service", "direct"])
def test_other_names_and_passwords_fail(
    slapd: Slapd, name: str, password: str, bind_dn: str
) -> None:
    direct = {"bind_dn": f"uid=%s,{PEOPLE}", "bind_password": ""}
    options = direct if bind_dn == "direct" else {}
    assert find(name, password, one_server(slapd.port, **options)) is None


@pytest.mark.parametrize(
    "options",
    [
        {"bind_dn": "", "bind_password": ""},
        {"bind_dn": f"uid=%s,{PEOPLE}", "bind_password": ""},
        {"search_base_dns": [GROUPS, SUFFIX]},
        {"search_filter": "(&(objectClass=inetOrgPerson)(|(uid=%s)(mail=%s)))"},
        {"groups_as": "user"},
        {
            "group_search_filter": "(&(objectClass=groupOfNames)(member=%s))",
            "group_search_filter_user_attribute": "dn",
            "group_search_base_dns": [GROUPS],
        },
        {
            "group_search_filter": f"(member=uid=%s,{PEOPLE})",
            "group_search_base_dns": [GROUPS],
            "groups_as": "user",
        },
    ],
)
def test_all_ways_of_binding_and_of_reading_groups_find_the_same(
    slapd: Slapd, options: dict[str, Any]
) -> None:
    usual = find("ann", "ann-secret", one_server(slapd.port))
    assert find("ann", "ann-secret", one_server(slapd.port, **options)) == usual
    assert find("ann", "bob-secret", one_server(slapd.port, **options)) is None


@pytest.mark.parametrize("count", [2, 3])
def test_a_name_of_several_entries_fails(slapd: Slapd, count: int) -> None:
    names = ("bob", "ann", "%s")[-count:]
    pattern = f"(|{''.join(f'(uid={name})' for name in names)})"
    twice = one_server(slapd.port, search_filter=pattern, search_base_dns=SUFFIX)
    carl = slapd.add_user("carl", "carl-secret")
    try:
        assert find("carl", "carl-secret", twice) is None
        assert find("carl", "carl-secret", one_server(slapd.port)) is not None
    finally:
        slapd.remove(carl)


def test_an_entry_below_two_base_names_counts_once(slapd: Slapd) -> None:
    bases = one_server(slapd.port, search_base_dns=[PEOPLE, SUFFIX])
    assert find("bob", "bob-secret", bases) is not None


def test_a_user_needs_one_of_the_allowed_groups(slapd: Slapd) -> None:
    spelled = DEV.upper().replace(",", " , ")
    allowed = one_server(slapd.port, allowed_groups=[spelled])
    assert find("ann", "ann-secret", allowed) is not None
    assert find("bob", "bob-secret", allowed) is None


def test_groups_that_only_the_user_can_read(tmp_path: Path) -> None:
    with Slapd(tmp_path / "slapd", access=GROUPS_FOR_USERS_ONLY) as hidden:
        ann = hidden.add_user("ann", "ann-secret")
        hidden.add_group("dev", ann)
        by_search = {"group_search_filter": "(member=%s)", "group_search_base_dns": GROUPS}
        by_search["group_search_filter_user_attribute"] = "dn"
        for options in ({}, by_search):
            for groups_as, expected in (("service", ()), ("user", (DEV,))):
                server = one_server(hidden.port, groups_as=groups_as, **options)
                entry = find("ann", "ann-secret", server)
                assert entry is not None and entry.groups == expected
                later = look_up(ANN, server)
                assert later is not None
                assert later.groups == (None if groups_as == "user" else ())


def test_a_change_in_the_directory_is_seen_by_the_service_account(slapd: Slapd) -> None:
    dora = slapd.add_user("dora", "dora-secret")
    slapd.change_member(OPS, dora, add=True)
    server = one_server(slapd.port, allowed_groups=[OPS])
    entry = find("dora", "dora-secret", server)
    assert entry is not None and look_up(dora, server) == entry
    slapd.change_member(OPS, dora, add=False)
    assert look_up(dora, server) is None
    assert look_up(dora, one_server(slapd.port)) is not None
    slapd.remove(dora)
    assert look_up(dora, one_server(slapd.port)) is None
    with pytest.raises(DirectoryUnavailable):
        look_up(ANN, one_server(slapd.port, bind_dn=f"uid=%s,{PEOPLE}", bind_password=""))


@pytest.mark.parametrize("encryption", ["start_tls", "use_ssl"])
def test_tls(slapd: Slapd, encryption: str, tmp_path: Path) -> None:
    port = slapd.tls_port if encryption == "use_ssl" else slapd.port
    options = {encryption: True, "root_ca_cert": slapd.authority_file}
    assert find("ann", "ann-secret", one_server(port, **options)) is not None
    assert find("ann", "ann-secret", one_server(port, **options, host="localhost")) is not None
    assert find("ann", "bob-secret", one_server(port, **options)) is None
    wrong = tmp_path / "wrong.pem"
    trustme.CA().cert_pem.write_to_path(str(wrong))
    reason = unavailable(
        "ann", "ann-secret", one_server(port, **options | {"root_ca_cert": str(wrong)})
    )
    assert "certificate" in reason


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    """A directory without TLS, as one behind a third party that removes STARTTLS."""
    with Slapd(tmp_path_factory.mktemp("plain") / "slapd") as directory:
        directory.add_user("ann", "ann-secret")
        yield directory


def test_without_starttls_no_password_is_sent(plain: Slapd) -> None:
    assert find("ann", "ann-secret", one_server(plain.port)) is not None
    reason = unavailable("ann", "ann-secret", one_server(plain.port, start_tls=True))
    assert "refused STARTTLS" in reason


def test_the_next_server_is_used_only_if_one_is_unreachable(slapd: Slapd, plain: Slapd) -> None:
    dead = one_server(free_port(), name="dead")
    good = one_server(slapd.port, name="second")
    entry = find("ann", "ann-secret", dead, good)
    assert entry is not None and entry.server == "second"
    # The first directory has ann, but not bob.
    first = one_server(plain.port, name="first")
    entry = find("ann", "ann-secret", first, good)
    assert entry is not None and entry.server == "first"
    assert find("bob", "bob-secret", first, good) is None
    assert "127.0.0.1" in unavailable("ann", "ann-secret", dead, dead)


def test_the_hosts_of_a_server_are_tried_in_order(slapd: Slapd) -> None:
    server = one_server(slapd.port, host="127.0.0.99 127.0.0.1")
    assert find("ann", "ann-secret", server) is not None


def test_a_rejected_service_account_is_a_fault_of_the_directory(slapd: Slapd) -> None:
    wrong = one_server(slapd.port, bind_password="wrong")
    reason = unavailable("ann", "ann-secret", wrong, one_server(slapd.port))
    assert reason == "127.0.0.1: the password of bind-dn is rejected"


def test_an_entry_without_the_named_attributes_is_a_fault_of_the_settings(slapd: Slapd) -> None:
    server = one_server(slapd.port, id_attribute="employeeNumber")
    assert "employeeNumber" in unavailable("ann", "ann-secret", server)
    server = one_server(slapd.port, attributes={"username": "displayName"})
    assert "displayName" in unavailable("ann", "ann-secret", server)
    assert find("ann", "bob-secret", server) is None


def test_twenty_logins_at_once_and_twice_as_many(slapd: Slapd) -> None:
    from headgate_server.auth.ldap.directory import LdapDirectory

    async def run(count: int) -> list[LdapEntry | None]:
        directory = LdapDirectory(ldap_settings(one_server(slapd.port)))
        passwords = ["ann-secret" if number % 2 else "wrong" for number in range(count)]
        return await asyncio.gather(*(directory.find("ann", one) for one in passwords))

    for count in (20, 40):
        found = asyncio.run(run(count))
        assert [entry is not None for entry in found] == [bool(n % 2) for n in range(count)]


# A cancellation at one moment of the connection to libldap leaves a socket to the collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_cancelled_login_hinders_no_later_one(slapd: Slapd) -> None:
    from headgate_server.auth.ldap.directory import LdapDirectory

    async def run() -> LdapEntry | None:
        directory = LdapDirectory(ldap_settings(one_server(slapd.port)))
        for steps in range(0, 120, 3):
            task = asyncio.ensure_future(directory.find("ann", "ann-secret"))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return await directory.find("ann", "ann-secret")

    assert asyncio.run(run()) is not None
    gc.collect()
