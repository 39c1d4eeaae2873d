"""Reads settings from flags, environment variables, the TOML file and defaults."""

from pathlib import Path
from typing import Any

import pytest

from headgate_server import ConfigurationError, Settings, configure
from headgate_server.config.loader import SETTABLE

INFLUXDB_CONF = """
reporting-disabled = true
reporting-enabled = false
bind-address = "127.0.0.1:8088"
[meta]
  dir = "/var/lib/influxdb/meta"
[http]
  enabled = true
  bind-address = ":9999"
  auth-enabled = true
  realm = "my realm"
  pprof-enabled = false
  shared-secret = "from the file"
  max-body-size = 1000
  https-enabled = false
[[graphite]]
  enabled = false
[store]
  path = "users.db"
"""


def test_defaults_are_safe() -> None:
    settings = configure({}, {}, None).settings
    assert settings == Settings()
    assert settings.auth_enabled and settings.keep_last_admin
    assert settings.address() == ("127.0.0.1", 8086)


def test_an_influxdb_conf_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "influxdb.conf"
    path.write_text(INFLUXDB_CONF)
    found = configure({}, {}, str(path))
    assert found.settings == Settings(
        bind_address=":9999",
        realm="my realm",
        shared_secret="from the file",
        max_body_size=1000,
        store_path="users.db",
    )
    assert found.settings.address() == ("", 9999)
    notices = "\n".join(found.notices)
    for ignored in ("[meta]", "[graphite]", "pprof-enabled", "reporting-disabled"):
        assert ignored in notices
    assert "from the file" not in notices + repr(found)


@pytest.mark.parametrize(
    ("flags", "environment", "realm"),
    [
        ({}, {}, "file"),
        ({}, {"INFLUXDB_HTTP_REALM": "influx"}, "influx"),
        ({}, {"INFLUXDB_HTTP_REALM": "influx", "HEADGATE_HTTP_REALM": "ours"}, "ours"),
        ({"http.realm": "flag"}, {"HEADGATE_HTTP_REALM": "ours"}, "flag"),
        ({"http.realm": None}, {}, "file"),
    ],
)
def test_a_flag_comes_before_the_environment_before_the_file(
    tmp_path: Path, flags: dict[str, Any], environment: dict[str, str], realm: str
) -> None:
    path = tmp_path / "headgate.toml"
    path.write_text('[http]\nrealm = "file"\n')
    assert configure(flags, environment, str(path)).settings.realm == realm


def test_only_http_settings_listen_to_influxdbs_environment() -> None:
    environment = {"INFLUXDB_STORE_PATH": "x", "HEADGATE_AUTH_BCRYPT_COST": "5"}
    settings = configure({}, environment, None).settings
    assert (settings.store_path, settings.bcrypt_cost) == ("headgate.db", 5)


def test_a_secret_may_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hush\n")
    environment = {"HEADGATE_HTTP_SHARED_SECRET_FILE": str(secret)}
    assert configure({}, environment, None).settings.shared_secret == "hush"
    flags = {"http.shared-secret": "flag"}
    assert configure(flags, environment, None).settings.shared_secret == "flag"
    with pytest.raises(ConfigurationError, match="shared-secret-file .*: No such file"):
        configure({}, {"HEADGATE_HTTP_SHARED_SECRET_FILE": "/nowhere"}, None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[http]\nrealms = 'x'", r"\[http\] realms: unknown key, did you mean realm"),
        ("[http]\nauth-enabled = 'yes'", r"\[http\] auth-enabled: expected true or false"),
        ("[http]\nmax-body-size = true", r"\[http\] max-body-size: expected a whole number"),
        ("[http]\nmax-body-size = -1", r"\[http\] max-body-size: expected 0 or more"),
        ("[http]\nrealm = 5", r"\[http\] realm: expected a string"),
        ("[http]\nhttps-enabled = 1", r"\[http\] https-enabled: expected true or false"),
        ("[http]\nidle-timeout = 5", r"\[http\] idle-timeout: expected a duration such as 10s"),
        ("[http]\nidle-timeout = 'soon'", "idle-timeout: expected a duration such as 10s or 2m"),
        ("[http]\nlog-format = 'xml'", r"\[http\] log-format: expected text or json"),
        ("[http]\nunix-socket-permissions = '999'", "permissions: expected a mode such as 0660"),
        ("[auth]\nbcrypt-cost = 3", r"\[auth\] bcrypt-cost: expected 4 to 14"),
        (
            "[htpp]\nrealm = 'x'",
            "unknown section 'htpp', expected audit, auth, console, gateway, http, store",
        ),
        ("realm = 'x'", "unknown key 'realm'"),
        ("[http]\nbind-address = '127.0.0.1'", "is no HOST:PORT"),
        ("[http]\nmax-body-size = 1" + "0" * 5000, "no TOML: "),
        (
            "[[gateway.upstream]]\nname = 'x'\nurls = ['http://127.0.0.1:1']\n"
            "[gateway.upstream.jwt]\nsecrets = 'hush'",
            "jwt: secrets: unknown option, did you mean secret",
        ),
        ("[http", "no TOML"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_the_key(
    tmp_path: Path, text: str, reason: str
) -> None:
    path = tmp_path / "headgate.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=reason) as refused:
        configure({}, {}, str(path))
    assert "\n" not in str(refused.value)


def test_the_secret_of_a_later_layer_wins_however_it_is_given(tmp_path: Path) -> None:
    secret, path = tmp_path / "secret", tmp_path / "headgate.conf"
    secret.write_text("from a file\n")
    path.write_text(f'[http]\nshared-secret-file = "{secret}"\n')
    assert configure({}, {}, str(path)).settings.shared_secret == "from a file"
    environment = {"HEADGATE_HTTP_SHARED_SECRET": "from the environment"}
    assert configure({}, environment, str(path)).settings.shared_secret == "from the environment"
    path.write_text('[http]\nshared-secret = "in the configuration"\n')
    environment = {"HEADGATE_HTTP_SHARED_SECRET_FILE": str(secret)}
    assert configure({}, environment, str(path)).settings.shared_secret == "from a file"


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("realm", "ümlaut→", "expected printable ASCII"),
        ("realm", "a\\nb", "expected printable ASCII"),
        ("reported-version", "→", "expected printable ASCII"),
        ("shared-secret-file", "EMPTY", "it is empty"),
        ("shared-secret", "ssh-rsa AAAAB3Nza", "cannot sign"),
        ("https-enabled", "yes", "expected true or false"),
    ],
)
def test_what_could_not_be_served_is_refused_at_once(
    tmp_path: Path, key: str, value: str, reason: str
) -> None:
    (tmp_path / "EMPTY").write_text(" \n")
    path = tmp_path / "headgate.conf"
    value = value.replace("EMPTY", str(tmp_path / "EMPTY"))
    path.write_text(f'[http]\n{key} = "{value}"\n', "utf-8")
    with pytest.raises(ConfigurationError, match=reason):
        configure({}, {}, str(path))


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"INFLUXDB_HTTP_HTTPS_ENABLED": "on"}, "HTTPS_ENABLED: expected true or false"),
        ({"HEADGATE_STORE_PATH": "/"}, "store path '/': expected a file's name"),
        ({"HEADGATE_HTTP_SHARED_SECRET": "\udcff"}, "shared-secret: .* cannot sign"),
    ],
)
def test_what_the_environment_asks_for_in_vain_is_refused(
    environment: dict[str, str], reason: str
) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        configure({}, environment, None)


@pytest.mark.parametrize("key", [option for option in SETTABLE if option != "http.realm"])
@pytest.mark.parametrize("prefix", ["HEADGATE", "INFLUXDB"])
def test_an_empty_variable_counts_as_not_set(tmp_path: Path, key: str, prefix: str) -> None:
    secret, path = tmp_path / "secret", tmp_path / "headgate.conf"
    secret.write_text("a secret from a file")
    path.write_text(f'[http]\nrealm = "file"\nshared-secret-file = "{secret}"\n')
    expected = configure({}, {}, str(path)).settings
    name = f"{prefix}_{key.replace('.', '_').replace('-', '_').upper()}"
    assert configure({}, {name: ""}, str(path)).settings == expected


def test_an_empty_variable_of_ours_leaves_influxdbs_in_force() -> None:
    environment = {"INFLUXDB_HTTP_SHARED_SECRET": "influx", "HEADGATE_HTTP_SHARED_SECRET": ""}
    assert configure({}, environment, None).settings.shared_secret == "influx"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("AUTH_JWT_EXPECT_CLAIMS", "the table [auth.jwt] must be set in the configuration file"),
        ("AUTH_JWT_ENABLED", "the table [auth.jwt] must be set in the configuration file"),
        ("GATEWAY_UPSTREAM_NAME", "the table [gateway] must be set in the configuration file"),
        ("GATEWAY_TRUSTED_PROXIES", "the table [gateway] must be set in the configuration file"),
        ("GATEWAY_UPSTRAEM", "no such setting, did you mean HEADGATE_GATEWAY_UPSTREAM?"),
        ("HTTP_RELAM", "no such setting, did you mean HEADGATE_HTTP_REALM?"),
        ("AUTH_FREE_FAILURE", "no such setting, did you mean HEADGATE_AUTH_FREE_FAILURES?"),
    ],
)
def test_a_variable_that_is_no_setting_says_where_it_belongs(name: str, reason: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        configure({}, {f"HEADGATE_{name}": "x"}, None)
    assert str(refused.value) == f"HEADGATE_{name}: {reason}"


SECRET_TABLES = {
    "[http]\nshared-secret = 'x'": ["headgate.toml"],
    "[http]\nshared-secret-file = 'FILE'": ["FILE"],
    "[[gateway.upstream]]\nurls = 'http://x'\nusername = 'u'\npassword-file = 'FILE'": ["FILE"],
    "[[gateway.upstream]]\nurls = 'http://x'\ntoken_file = 'FILE'": ["FILE"],
    "[[gateway.upstream]]\nurls = 'http://x'\ntoken = 'y'": ["headgate.toml"],
    "[gateway.jwt]\nsecret-file = 'FILE'": ["FILE"],
    "[http]\nrealm = 'x'": [],
    "[[gateway.upstream]]\nurls = 'http://x'": [],
}


@pytest.mark.parametrize(("text", "named"), SECRET_TABLES.items())
@pytest.mark.parametrize(
    ("mode", "warned"), [(0o600, False), (0o400, False), (0o640, True), (0o644, True)]
)
def test_files_with_secrets_that_others_may_read_are_warned_of(
    tmp_path: Path, text: str, named: list[str], mode: int, warned: bool
) -> None:
    path, secret = tmp_path / "headgate.toml", tmp_path / "secret"
    secret.write_text("a-secret-of-more-than-thirty-two-bytes")
    path.write_text(text.replace("FILE", str(secret)))
    path.chmod(mode)
    secret.chmod(mode)
    files = [secret if name == "FILE" else path for name in named]
    assert configure({}, {}, str(path)).warnings == [
        f"users other than its owner can use {file} (mode {mode:04o}), which holds a secret:"
        " it should have mode 0600"
        for file in (files if warned else [])
    ]


@pytest.mark.parametrize(
    ("line", "field", "expected"),
    [
        ('login_cookie_name = "grafana_session"', "login_cookie_name", "grafana_session"),
        ('cookie_samesite = "Strict"', "cookie_samesite", "strict"),
        ('cookie-same-site = "None"\ncookie-secure = true', "cookie_samesite", "none"),
        ("cookie_secure = false", "cookie_secure", "false"),
        ('login_maximum_lifetime_duration = "30d"', "login_maximum_lifetime_duration", 2_592_000),
        ("login-maximum-lifetime-days = 0", "login_maximum_lifetime_duration", 0),
        ("login_maximum_lifetime_days = 2", "login_maximum_lifetime_duration", 172_800),
        (
            "login_maximum_inactive_lifetime_days = 3",
            "login_maximum_inactive_lifetime_duration",
            259_200,
        ),
        ("token_rotation_interval_minutes = 5", "token_rotation_interval_minutes", 5),
        ("api_key_max_seconds_to_live = 60", "api_key_max_seconds_to_live", 60),
    ],
)
def test_grafanas_and_pyroscopes_names_set_the_options_of_logins(
    tmp_path: Path, line: str, field: str, expected: object
) -> None:
    path = tmp_path / "headgate.toml"
    path.write_text(f"[auth]\n{line}\n")
    assert getattr(configure({}, {}, str(path)).settings, field) == expected


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ("cookie_samesite = 'lax'\ncookie-same-site = 'lax'", "expected one of them"),
        ("login-maximum-lifetime-days = 1.5", "expected a number of days, 0 or more"),
        ("login_maximum_lifetime_days = -1", "expected a number of days, 0 or more"),
        ("login_maximum_lifetime_day = 1", "unknown key, did you mean"),
    ],
)
def test_an_alias_is_refused_like_the_option_that_it_sets(
    tmp_path: Path, lines: str, error: str
) -> None:
    path = tmp_path / "headgate.toml"
    path.write_text(f"[auth]\n{lines}\n")
    with pytest.raises(ConfigurationError) as refused:
        configure({}, {}, str(path))
    assert error in str(refused.value) and "\n" not in str(refused.value)
