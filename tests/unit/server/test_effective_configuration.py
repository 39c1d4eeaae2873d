"""`headgate serve --print-config`: the effective configuration, its sources, and no secret."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headgate.serve import run
from headgate_server import configure
from headgate_server.config.effective import print_configuration
from headgate_server.config.loader import SETTABLE, load
from headgate_server.config.option_fields import Option, OptionType

SECRET = "Zk7-a-secret-of-more-than-thirty-two-bytes"
FILE = f"""
[http]
realm = "file"
shared-secret = "{SECRET}"
[auth.jwt]
enabled = true
header_name = "Authorization"
key_id = "not inherited"
org_mapping = ["a:b:READ"]
skip_org_role_sync = true
jwk_set_url = "\t HTTPS://idp/keys?s={SECRET}"
[auth.jwt.expect_claims]
tenant = "x"
[[auth.jwt.issuer]]
iss = "https://other"
jwk-set-url = "https://other/keys"
[gateway]
rate_per_user = 5
[gateway.jwt]
secret = "{SECRET}"
[[gateway.upstream]]
protocol = "mimir"
urls = "http://127.0.0.1:9009"
tenants = {{"a b" = "team-a"}}
token = "{SECRET}"
connect-timeout = "1500ms"
[[gateway.upstream.routes]]
methods = ["get"]
paths = ["/x"]
privilege = "READ"
[[gateway.upstream]]
mount = "/other"
urls = ["http://127.0.0.1:8086", "http://127.0.0.1:8087"]
username = "u"
password-file = "PASSWORD"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "password").write_text(f"{SECRET}\n")
    path = tmp_path / "headgate.toml"
    path.write_text(FILE.replace("PASSWORD", str(tmp_path / "password")))
    return path


def printed(path: Path | None, environment: dict[str, str] | None = None, **flags: Any) -> str:
    by_key = {name.replace("__", ".").replace("_", "-"): value for name, value in flags.items()}
    return print_configuration(configure(by_key, environment or {}, str(path) if path else None))


def lines(text: str) -> dict[str, str]:
    """Returns the source of each option in *text*, by header and key."""
    found: dict[str, str] = {}
    header = ""
    for line in text.splitlines():
        if line.startswith("["):
            header = line
        elif line:
            option, _, source = line.rpartition("  # ")
            key = option.removeprefix("# ").partition(" = ")[0].partition(":")[0]
            found.setdefault(f"{header} {key}", source)
    return found


def test_each_line_names_the_source_of_its_value(path: Path) -> None:
    environment = {"INFLUXDB_HTTP_LOG_FORMAT": "json", "HEADGATE_AUTH_FREE_FAILURES": "7"}
    sources = lines(printed(path, environment, http__workers=2, http__realm="flag"))
    assert sources["[http] workers"] == "--workers"
    assert sources["[http] realm"] == "--realm"
    assert sources["[http] log-format"] == "INFLUXDB_HTTP_LOG_FORMAT"
    assert sources["[auth] free-failures"] == "HEADGATE_AUTH_FREE_FAILURES"
    assert sources["[auth] bcrypt-cost"] == "default"
    for option in (
        *("[http] shared-secret", "[auth.jwt] db-mapping", "[auth.jwt] header-name"),
        *("[auth.jwt] grant-sync", "[auth.jwt] expect-claims", "[gateway] rate-per-user"),
        *("[[gateway.upstream]] token", "[[gateway.upstream]] routes"),
    ):
        assert sources[option] == str(path), option
    assert sources["[[auth.jwt.issuer]] iss"] == str(path)
    assert sources["[[auth.jwt.issuer]] db-mapping"] == f"[auth.jwt] of {path}"
    assert sources["[[auth.jwt.issuer]] jwk-set-url"] == str(path)
    assert sources["[[auth.jwt.issuer]] key-id"] == "default"
    assert sources["[gateway.upstream.jwt] secret"] == f"[gateway.jwt] of {path}"


def test_the_short_form_and_secrets_in_files_have_their_sources(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text(f"{SECRET}\n{SECRET}2\n")
    environment = {
        "HEADGATE_GATEWAY_UPSTREAM": "http://127.0.0.1:1",
        "HEADGATE_HTTP_SHARED_SECRET_FILE": str(tmp_path / "secrets"),
    }
    text = printed(None, environment, gateway__protocol="loki")
    sources = lines(text)
    assert sources["[[gateway.upstream]] urls"] == "HEADGATE_GATEWAY_UPSTREAM"
    assert sources["[[gateway.upstream]] protocol"] == "--protocol"
    expected = "shared-secret-file of HEADGATE_HTTP_SHARED_SECRET_FILE"
    assert sources["[http] shared-secret"] == expected
    assert SECRET not in text


def test_no_secret_is_printed(path: Path) -> None:
    text = printed(path)
    assert "Zk7" not in text
    assert "# shared-secret: [REDACTED]" in text and "# password: [REDACTED]" in text
    assert "HTTPS://idp/keys?[REDACTED]" in text


def test_the_text_is_a_configuration_of_the_same_settings(path: Path, tmp_path: Path) -> None:
    shown = FILE.replace("PASSWORD", str(tmp_path / "password")).replace(f"?s={SECRET}", "")
    for line in shown.splitlines():
        if SECRET in line or line.startswith(("username", "password")):
            shown = shown.replace(line, "")
    path.write_text(shown)
    before = configure({}, {}, str(path))
    again = tmp_path / "again.toml"
    again.write_text(print_configuration(before))
    after = configure({}, {}, str(again))
    assert after.settings == before.settings and after.notices == []


def values(option: Option) -> st.SearchStrategy[Any]:
    """Returns the valid values of *option*, as flags have them."""
    if option.among:
        return st.sampled_from(option.among)
    match option.type:
        case OptionType.BOOLEAN:
            return st.booleans()
        case OptionType.INTEGER:
            return st.integers(option.least, min(option.most, 1 << 40))
        case OptionType.DURATION:
            return st.integers(0, 10**6).map(lambda number: f"{number}ms")
    if option.octal:
        return st.sampled_from(["0600", "660"])
    if option.header:
        return st.text(st.characters(min_codepoint=32, max_codepoint=126))
    if option.type is OptionType.LIST:
        return st.lists(st.text("ab.:/"), max_size=3).map(" ".join)
    return st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


OPTIONS = {
    key: option for key, option in SETTABLE.items() if option.field and not option.secret
}  # fmt: skip


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.fixed_dictionaries({}, optional={key: values(it) for key, it in OPTIONS.items()}))
def test_whatever_is_set_is_printed_so_that_it_can_be_read(
    tmp_path: Path, flags: dict[str, Any]
) -> None:
    before = load(flags, {}, None)
    text = print_configuration(before)
    tomllib.loads(text)
    path = tmp_path / "printed.toml"
    path.write_text(text, "utf-8")
    assert load({}, {}, str(path)).settings == before.settings
    assert before.sources.keys() == flags.keys()


def test_the_command_prints_it_and_serves_nothing(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--config", str(path), "--print-config"], {}, lambda settings: 9) == 0
    assert "[http]\n" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        run(["--check", "--print-config"], {}, lambda settings: 9)
    assert "--print-config and --check: expected one of them" in capsys.readouterr().err


def test_an_invalid_configuration_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    environment = {"HEADGATE_HTTP_WORKERS": "0"}
    assert run(["--print-config"], environment, lambda settings: 9) == 1
    output = capsys.readouterr()
    assert output.out == "" and output.err.count("\n") == 1
    assert "HEADGATE_HTTP_WORKERS: expected 1 to 64" in output.err
