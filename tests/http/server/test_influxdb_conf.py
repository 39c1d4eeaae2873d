"""Reads configuration files of InfluxDB 0.9 to 1.12, also in the text encodings of Windows."""

from collections.abc import Callable
from pathlib import Path

import pytest

from headgate_server import ConfigurationError, configure
from support.servers import Server
from support.text_encodings import text_encodings

# Sections and keys as the releases' own sample files have them.
V0_9 = """
reporting-disabled = false
hostname = "db1.example"
join = "db2.example:8088"
bind-address = ":8088"
[meta]
  dir = "/var/lib/influxdb/meta"
  peers = []
[data]
  dir = "/var/lib/influxdb/data"
  wal-logging-enabled = true
[cluster]
  shard-writer-timeout = "10s"
[retention]
  enabled = true
[admin]
  enabled = true
  bind-address = ":8083"
  https-enabled = false
[http]
  enabled = true
  bind-address = ":9999"
  log-enabled = true
  write-tracing = false
  pprof-enabled = false
[[graphite]]
  enabled = false
[collectd]
[opentsdb]
[[udp]]
[monitoring]
  enabled = true
[continuous_queries]
  recompute-previous-n = 2
[hinted-handoff]
  max-size = 1073741824
"""
V1_0 = """
reporting-disabled = true
[meta]
[data]
[coordinator]
  query-timeout = "0s"
[retention]
[shard-precreation]
[admin]
  enabled = false
[monitor]
  store-database = "_internal"
[subscriber]
[http]
  bind-address = ":9999"
  max-row-limit = 10000
  max-connection-limit = 0
  shared-secret = ""
  https-private-key = ""
  unix-socket-enabled = false
  bind-socket = "/var/run/influxdb.sock"
[[graphite]]
[[collectd]]
[[opentsdb]]
[[udp]]
[continuous_queries]
"""
V1_8 = """
[http]
  bind-address = ":9999"
  flux-enabled = true
  flux-log-enabled = false
  suppress-write-log = false
  access-log-path = ""
  access-log-status-filters = ["5xx"]
  debug-pprof-enabled = false
  pprof-auth-enabled = false
  prom-read-auth-enabled = false
  max-concurrent-write-limit = 0
  max-enqueued-write-limit = 0
  enqueued-write-timeout = "30s"
  unix-socket-permissions = "0777"
  [http.headers]
    X-Frame-Options = "DENY"
[logging]
  format = "auto"
[ifql]
[tls]
  ciphers = []
"""
V1_12 = """
[data]
  aggressive-points-per-block = 10000
[http]
  bind-address = ":9999"
  user-query-bytes-enabled = true
  https-insecure-certificate = false
  option-of-the-next-release = 5
[flux-controller]
  query-concurrency = 10
[section-of-the-next-release]
  enabled = true
"""
ENTERPRISE_DATA = """
bind-address = ":8088"
hostname = "data-1"
gossip-frequency = "3s"
[enterprise]
  license-key = "8f1e-license"
  license-path = ""
[meta]
  meta-tls-enabled = false
[cluster]
  dial-timeout = "1s"
[hinted-handoff]
  dir = "/var/lib/influxdb/hh"
[anti-entropy]
  enabled = false
[http]
  bind-address = ":9999"
"""
COMMENTED = """
### Welcome to the InfluxDB configuration file.
# reporting-disabled = false
[meta]
  # dir = "/var/lib/influxdb/meta"
[http]
  # enabled = true
  bind-address = ":9999"  # as always
  # auth-enabled = false
###
[[graphite]]
  # templates = [
  #   "*.app env.service.resource.measurement",
  # ]
"""
EMPTY_VALUES = """
[http]
  bind-address = ":9999"
  shared-secret = ""
  unix-socket-group = ""
  unix-socket-permissions = ""
  idle-timeout = ""
  https-private-key = ""
[meta]
  dir = ""
"""
FILES = {
    "0.9": V0_9,
    "1.0": V1_0,
    "1.8": V1_8,
    "1.12": V1_12,
    "Enterprise": ENTERPRISE_DATA,
    "commented": COMMENTED,
    "empty values": EMPTY_VALUES,
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("form", text_encodings(""))
def test_a_file_of_another_release_or_editor_is_taken(tmp_path: Path, name: str, form: str) -> None:
    path = tmp_path / "influxdb.conf"
    path.write_bytes(text_encodings(FILES[name])[form])
    found = configure({}, {}, str(path))
    assert found.settings.bind_address == ":9999"
    assert found.settings.unix_socket_permissions in ("0660", "0777")
    assert all("is not one of Headgate's, ignored" in notice for notice in found.notices)
    assert "8f1e-license" not in "".join(found.notices)


@pytest.mark.parametrize("name", ["admin", "anti-entropy", "enterprise", "next-release"])
def test_a_section_of_another_program_is_named_in_a_notice(tmp_path: Path, name: str) -> None:
    path = tmp_path / "influxdb.conf"
    path.write_text(f"[{name}]\nenabled = false\n[[list-of-{name}]]\nx = 1\n")
    assert configure({}, {}, str(path)).notices == [
        f"{path}: section [{name}] is not one of Headgate's, ignored",
        f"{path}: section [list-of-{name}] is not one of Headgate's, ignored",
    ]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("[gatway]\nrate-per-user = 1", "gateway"),
        ("[gateways]", "gateway"),
        ("[GATEWAY]", "gateway"),
        ("[aut]\nbcrypt-cost = 4", "auth"),
        ("[auht]", "auth"),
        ("[htpp]\nrealm = 'x'", "http"),
        ("[[https]]", "http"),
        ("[stor]\npath = 'x'", "store"),
        ("[audits]", "audit"),
        ("[jwt]\nenabled = true", "auth.jwt"),
        ("[[upstream]]\nprotocol = 'mimir'", "gateway.upstream"),
        ("auth-enabled = true", r"http\] auth-enabled"),
        ("bcrypt_cost = 4", r"auth\] bcrypt-cost"),
        ("[http]\nauth_enabled = true", "auth-enabled"),
        ("[http]\nshared-secrt = 'x'", "shared-secret"),
        ("[http]\nbcrypt-cost = 4", r"auth\] bcrypt-cost"),
        ("[audit]\nfiles = 'x'", "file"),
    ],
)
def test_a_misspelt_name_of_our_own_is_an_error(tmp_path: Path, text: str, meant: str) -> None:
    path = tmp_path / "influxdb.conf"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=rf"did you mean \[?{meant}\]?\??$"):
        configure({}, {}, str(path))


@pytest.mark.parametrize("text", ["[store]\nnonsense = 1", "[auth]\nx = 1", "[audit]\ny = 1"])
def test_an_unknown_key_in_a_section_of_our_own_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "headgate.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match="unknown key, expected one of "):
        configure({}, {}, str(path))


@pytest.mark.parametrize("form", text_encodings(""))
def test_a_file_with_secrets_may_come_from_any_editor(tmp_path: Path, form: str) -> None:
    secret, other, path = tmp_path / "secret", tmp_path / "other", tmp_path / "headgate.toml"
    secret.write_bytes(text_encodings("first-secret-0123456789\nsecond\n")[form])
    other.write_bytes(text_encodings("pässword\n")[form])
    path.write_bytes(
        text_encodings(
            f"[http]\nshared-secret-file = '{secret}'\n"
            "[[gateway.upstream]]\nurls = 'http://localhost:1'\nusername = 'me'\n"
            f"password-file = '{other}'\n[gateway.upstream.jwt]\nsecret-file = '{secret}'\n"
        )[form]
    )
    settings = configure({}, {}, str(path)).settings
    assert settings.shared_secrets == ("first-secret-0123456789", "second")
    (upstream,) = settings.gateway.upstreams
    assert (upstream.password, upstream.jwt.secrets) == ("pässword", settings.shared_secrets)


def test_only_ends_of_lines_and_blanks_are_left_out_of_a_secret(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(" \ta\u00a0\u001c \t\r\n\n".encode())
    settings = configure({"http.shared-secret-file": str(secret)}, {}, None).settings
    assert settings.shared_secrets == ("a\u00a0\u001c",)


def test_a_server_starts_with_such_a_file(serve: Callable[..., Server], tmp_path: Path) -> None:
    path = tmp_path / "influxdb.conf"
    path.write_bytes(text_encodings(V0_9)["UTF-16 LE"])
    server = serve("--config", str(path))
    assert "section [admin] is not one of Headgate's, ignored" in server.log()
    assert server.request("GET", "/ping").status == 204
