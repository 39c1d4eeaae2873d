"""The settings in `[auth.ldap]`: names, limits, Grafana's file, and what prevents a start."""

import tomllib
from pathlib import Path

import pytest

from headgate_server import ConfigurationError, configure
from headgate_server.config.effective import print_configuration
from headgate_server.config.ldap import GroupMapping, LdapSettings
from headgate_server.config.ldap_reader import read_ldap_settings
from headgate_server.config.loader import load
from headgate_server.validation import ldap as validation

MINIMAL = 'host = "127.0.0.1"\nsearch_base_dns = ["dc=x"]\n'
GRAFANA = """
verbose_logging = true
[[servers]]
host = "ldap.example.org"
port = 389
use_ssl = false
start_tls = true
tls_ciphers = []
ssl_skip_verify = false
bind_dn = "cn=service,dc=example,dc=org"
bind_password = 'grafana-secret'
timeout = 15
search_filter = "(sAMAccountName=%s)"
search_base_dns = ["ou=people,dc=example,dc=org"]
group_search_filter = "(&(objectClass=posixGroup)(memberUid=%s))"
group_search_base_dns = ["ou=groups,dc=example,dc=org"]
group_search_filter_user_attribute = "uid"
[servers.attributes]
name = "givenName"
surname = "sn"
username = "sAMAccountName"
member_of = "memberOf"
email =  "email"
[[servers.group_mappings]]
group_dn = "cn=admins,ou=groups,dc=example,dc=org"
org_role = "Admin"
grafana_admin = true
[[servers.group_mappings]]
group_dn = "cn=editors,ou=groups,dc=example,dc=org"
org_role = "Editor"
org_id = 1
databases = ["telegraf"]
[[servers.group_mappings]]
group_dn = "*"
org_role = "Viewer"
"""


def read(text: str) -> LdapSettings:
    """Returns the settings in *text*: the lines after `[auth.ldap]`."""
    table = tomllib.loads(f"[auth.ldap]\n{text}")["auth"]["ldap"]
    return read_ldap_settings(table, [])


def server(text: str) -> str:
    """Returns the lines of one server: the required options, and *text*."""
    return f"[[auth.ldap.servers]]\n{MINIMAL}{text}"


def test_the_defaults() -> None:
    settings = read(server(""))
    assert (settings.enabled, settings.basic, settings.allow_sign_up) == (False, False, True)
    assert (settings.cache_ttl, settings.recheck_interval) == (60.0, 600.0)
    (one,) = settings.servers
    assert (one.name, one.actual_port, one.timeout) == ("127.0.0.1", 389, 10.0)
    assert one.search_filter == "(uid=%s)" and one.attributes.member_of == "memberOf"
    assert read(server("use-ssl = true")).servers[0].actual_port == 636


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("enable = true", "enable: unknown option, did you mean enabled?"),
        ("servers = 1", "servers: expected tables"),
        ("grant-sync = 'ephemeral'", "grant-sync: expected persist or off"),
        ("grant-sync = 'off'\nskip_org_role_sync = true", "expected either this or grant-sync"),
        ("skip_org_role_sync = 1", "skip-org-role-sync: expected true or false"),
        ("allow_plain = true\nallow-plain = true", "allow-plain is set twice"),
        ("[[auth.ldap.servers]]\nhost = 'h'", "servers 'h': search-base-dns: expected a value"),
        ("[[auth.ldap.servers]]\nsearch-base-dns = 'dc=x'", "servers: host: expected a value"),
        (server("port = 65536"), "port: expected 0 to 65535"),
        (server("timeout = 0"), "timeout: expected a duration above 0s"),
        (server("timeout = '11m'"), "timeout: expected a duration above 0s"),
        (server("timeout = true"), "timeout: expected a duration"),
        (server("ssl_skip_verify = true"), "give root-ca-cert in its place"),
        (server("use_ssl = true\nstart_tls = true"), "expected one of them"),
        (server("client-key = 'k'"), "client-key: expected client-cert beside it"),
        (server("search-filter = '(uid=ann)'"), "search-filter: expected %s"),
        (server("group-search-filter = '(x=y)'"), "group-search-filter: expected %s"),
        (server("groups-as = 'root'"), "groups-as: expected service or user"),
        (server("allowed-groups = [1]"), "allowed-groups: expected a distinguished name"),
        (server("bind-password = '$__file{/x}'"), "or bind-password-file"),
        (server("bind-password = 'a'\nbind-password-file = 'b'"), "expected one of them"),
        (server("bind-password-file = '/nowhere'"), "bind-password-file /nowhere: No such file"),
        (server("attributes = 1"), "attributes: expected a table"),
        (server("attributes = {uid = 'uid'}"), "attributes: uid: unknown option"),
        (server("attributes = {username = ''}"), "attributes: username: expected a name"),
        (server("group-mappings = [{privilege = 'READ'}]"), "group-dn: expected a"),
        (server("group-mappings = [{group-dn = 'x'}]"), "privilege: expected READ, WRITE or ALL"),
        (server("group-mappings = [{group-dn = 'x', privilege = 'R'}]"), "privilege: expected"),
        (
            server("group-mappings = [{group-dn = 'x', privilege = 'READ'}]"),
            'databases: expected names, or ["*"]',
        ),
        (
            server("group-mappings = [{group-dn = 'x', org_role = 'Viewer', org_id = 2}]"),
            "org-id: Headgate has no organizations: give databases in its place",
        ),
    ],
)
def test_an_invalid_setting_is_named(text: str, error: str) -> None:
    with pytest.raises(ValueError) as raised:
        read(text)
    assert error in str(raised.value) and "\n" not in str(raised.value)


def test_distinguished_names_are_not_split_at_commas() -> None:
    names = "allowed-groups = 'cn=a,dc=x'\ngroup-search-base-dns = 'dc=x,dc=y'"
    (one,) = read(server(names)).servers
    assert one.allowed_groups == ("cn=a,dc=x",)
    assert one.group_search_base_dns == ("dc=x,dc=y",)


def test_grafanas_file(tmp_path: Path) -> None:
    file = tmp_path / "ldap.toml"
    file.write_text(GRAFANA)
    notices: list[str] = []
    settings = read_ldap_settings({"enabled": True, "config_file": str(file)}, notices)
    (one,) = settings.servers
    assert (one.name, one.timeout, one.start_tls) == ("ldap.example.org", 15.0, True)
    assert one.attributes.username == "sAMAccountName"
    assert one.group_mappings == (
        GroupMapping(
            group_dn="cn=admins,ou=groups,dc=example,dc=org",
            privilege="Admin",
            databases=("*",),
            admin=True,
        ),
        GroupMapping(
            group_dn="cn=editors,ou=groups,dc=example,dc=org",
            privilege="Editor",
            databases=("telegraf",),
        ),
        GroupMapping(group_dn="*", privilege="Viewer", databases=("*",)),
    )
    assert [notice.removeprefix(f"{file}: ") for notice in notices] == [
        "tls-ciphers is not one of Headgate's, ignored",
        "group 'cn=admins,ou=groups,dc=example,dc=org' names no databases: it has its role on"
        " every database",
        "group '*' names no databases: it has its role on every database",
        "verbose-logging is not one of Headgate's, ignored",
    ]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (None, "No such file or directory"),
        ("password = secret", "no TOML"),
        ("", "expected tables: [[servers]]"),
        (GRAFANA.replace("org_id = 1", "org_id = 2"), "give databases in its place"),
        (GRAFANA.replace("ssl_skip_verify = false", "ssl_skip_verify = true"), "root-ca-cert"),
    ],
)
def test_an_unusable_file_of_grafana(tmp_path: Path, content: str | None, error: str) -> None:
    file = tmp_path / "ldap.toml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ValueError) as raised:
        read_ldap_settings({"config-file": str(file)}, [])
    assert error in str(raised.value) and str(file) in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_file_of_grafana_and_servers_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="config-file and servers: expected one of them"):
        read(f"config-file = '{tmp_path}'\n{server('')}")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (server(""), ""),
        (server("").replace("127.0.0.1", "localhost ::1"), ""),
        ("", "servers: expected a table"),
        (server("").replace("127.0.0.1", "ldap.example.org"), "unencrypted"),
        (server("").replace("127.0.0.1", "127.0.0.1 ldap.example.org"), "unencrypted"),
        ("allow-plain = true\n" + server("").replace("127.0.0.1", "ldap.example.org"), ""),
        (server("start-tls = true").replace("127.0.0.1", "ldap.example.org"), ""),
        (server("start-tls = true\nroot-ca-cert = '/nowhere'"), "/nowhere: No such file"),
        (server("bind-dn = 'cn=a'"), "bind-password: expected the password of bind-dn"),
        (server("bind-password = 'a'"), "bind-dn: expected the account"),
        (server("bind-dn = 'cn=%s'"), ""),
        (server("bind-dn = 'cn=%s'\nbind-password = 'a'"), "the user's password is used"),
    ],
)
def test_what_prevents_a_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, error: str
) -> None:
    monkeypatch.setattr(validation, "find_spec", lambda name: name)
    file = tmp_path / "headgate.toml"
    file.write_text(f"[auth.ldap]\nenabled = true\n{text}")
    if error:
        with pytest.raises(ConfigurationError) as raised:
            configure({}, {}, str(file))
        assert error in str(raised.value) and "[auth.ldap]" in str(raised.value)
    else:
        assert configure({}, {}, str(file)).settings.ldap.enabled
    file.write_text(f"[auth.ldap]\n{text}")
    assert not configure({}, {}, str(file)).settings.ldap.enabled


def test_without_the_library_the_start_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation, "find_spec", lambda _: None)
    file = tmp_path / "headgate.toml"
    file.write_text(f"[auth.ldap]\nenabled = true\n{server('')}")
    with pytest.raises(ConfigurationError, match=r"install headgate\[ldap\]"):
        configure({}, {}, str(file))


def test_the_effective_settings_are_printed_without_the_password(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("service-secret\n")
    file = tmp_path / "headgate.toml"
    file.write_text(
        "[auth.ldap]\nskip_org_role_sync = true\n"
        + server(f"bind_dn = 'cn=s'\nbind_password_file = '{tmp_path / 'password'}'\n")
        + "[auth.ldap.servers.attributes]\nusername = 'cn'\n"
        + "[[auth.ldap.servers.group_mappings]]\ngroup_dn = '*'\norg_role = 'Viewer'\n"
        + "databases = ['a']\n"
    )
    found = load({}, {}, str(file))
    printed = print_configuration(found)
    assert "service-secret" not in printed and "service-secret" not in repr(found)
    assert f"# bind-password: [REDACTED]  # {file}" in printed
    assert f'grant-sync = "off"  # {file}' in printed
    assert f'privilege = "Viewer"  # {file}' in printed
    again = tmp_path / "again.toml"
    secret = 'bind-password = "service-secret"'
    again.write_text(printed.replace("# bind-password: [REDACTED]", secret))
    assert load({}, {}, str(again)).settings.ldap == found.settings.ldap


def test_a_file_of_grafana_is_printed_by_its_name(tmp_path: Path) -> None:
    foreign = tmp_path / "ldap.toml"
    foreign.write_text(GRAFANA)
    foreign.chmod(0o644)
    file = tmp_path / "headgate.toml"
    file.write_text(f"[auth.ldap]\nconfig_file = '{foreign}'\n")
    found = load({}, {}, str(file))
    printed = print_configuration(found)
    assert "grafana-secret" not in printed and "auth.ldap.servers" not in printed
    assert any(str(foreign) in warning for warning in found.warnings)
    again = tmp_path / "again.toml"
    again.write_text(printed)
    assert load({}, {}, str(again)).settings.ldap == found.settings.ldap
