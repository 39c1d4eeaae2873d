"""The settings of providers, sign-up, the proxy in front and anonymous requests."""

from pathlib import Path

import pytest

from headgate_server.config.loader import ConfigurationError
from headgate_server.validation.configuration import configure

PROXY = '[auth.proxy]\nenabled = true\nwhitelist = ["127.0.0.1"]\n'
OIDC = """[http]
base-url = "https://metrics.example"
[auth.oauth.corp]
issuer = "https://idp.example"
client-id = "headgate"
client-secret = "s"
"""


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (OIDC.replace("client-id", "client_id"), ""),
        (OIDC + "use-pkce = false\n", "use-pkce: false is refused"),
        (OIDC + 'grant-sync = "ephemeral"\n', "grant-sync: expected persist or off"),
        (OIDC + "tls_skip_verify_insecure = true\n", "certificates are always verified"),
        (OIDC + 'role-attribute-path = "]"\n', "role-attribute-path"),
        (OIDC + 'tls-client-cert = "a.pem"\n', "tls-client-cert and tls-client-key: expected both"),
        (OIDC + 'redirect_uri = "x"\n', "redirect-uri: unknown option, did you mean redirect-url"),
        (OIDC.replace("https://idp", "http://idp"), "issuer: expected an https URL without login"),
        (OIDC.replace("https://idp", "https://u:p@idp"), "issuer: expected an https URL"),
        (OIDC.replace("corp", "nginx"), "expected another name"),
        (OIDC + 'kind = "azuread"\n', ""),
        (OIDC + 'kind = "kerberos"\n', "kind: expected oidc, google"),
        (
            OIDC.replace(
                "[auth.oauth", "[auth]\noauth-allow-insecure-email-lookup = true\n[auth.oauth"
            ),
            "oauth-allow-insecure-email-lookup needs allowed-domains",
        ),
        (
            OIDC.replace("[auth.oauth", '[auth]\nlogin-cookie-name = ""\n[auth.oauth'),
            "providers need sessions",
        ),
        ("[auth.proxy]\nenabled = true\n", "whitelist: expected the addresses"),
        (PROXY.replace("127.0.0.1", "everyone"), "whitelist: expected addresses, networks"),
        (PROXY + 'headers = "Who:X"\n', "'Who:X': expected one of Name, Email"),
        (PROXY + "header_names = 1\n", "header-names: unknown option, did you mean header-name"),
        ("[auth.anonymous]\nenabled = true\n", "user: expected the name of a user"),
        ('[auth.anonymous]\nprivilege = "Admin"\n', "expected READ, WRITE or ALL"),
        ('[auth]\nsignup-default-role = "Admin"\n', "signup-allow-admin = true allows it"),
        ('[auth]\nprotected-roles = "kings"\n', "'kings': expected admins"),
        ('[http]\nbase-url = "metrics.example"\n', "expected an origin such as"),
        ('[auth.github]\nenabled = true\nclient_id = "x"\n', "base-url: expected an address"),
    ],
)
def test_settings_that_stop_the_start(tmp_path: Path, text: str, error: str) -> None:
    path = tmp_path / "headgate.toml"
    path.write_text(text, "utf-8")
    if not error:
        assert configure({}, {}, str(path)).settings.oauth
        return
    with pytest.raises(ConfigurationError) as refused:
        configure({}, {}, str(path))
    assert error in str(refused.value) and "\n" not in str(refused.value)


def test_sections_of_grafana_and_pyroscope_are_providers(tmp_path: Path) -> None:
    path = tmp_path / "headgate.toml"
    path.write_text(
        """[http]
base-url = "https://metrics.example"
[auth]
login_maximum_lifetime_days = 3
[auth.google]
enabled = true
client_id = "g"
allowed_domains = "example.com other.example"
auto_sign_up = true
[auth.generic_oauth]
enabled = true
name = "Company"
client_id = "c"
auth_url = "https://idp.example/a"
token_url = "https://idp.example/t"
api_url = "https://idp.example/u"
org_mapping = "ops:shop:Editor"
org_attribute_path = "teams"
allow_assign_grafana_admin = true
skip_org_role_sync = false
[auth.github]
client_id = "h"
""",
        "utf-8",
    )
    by_name = {it.name: it for it in configure({}, {}, str(path)).settings.oauth}
    google, generic, github = by_name["google"], by_name["generic-oauth"], by_name["github"]
    assert (google.kind, google.issuer) == ("google", "https://accounts.google.com")
    assert (google.allowed_domains, google.allow_sign_up) == (
        *(("example.com", "other.example"), True),
    )
    assert (generic.kind, generic.title) == ("oauth2", "Company")
    assert generic.identity_issuer == "oauth2:generic-oauth"
    rights = generic.rights
    assert (rights.db_mapping, rights.databases_attribute_path) == (("ops:shop:Editor",), "teams")
    assert rights.allow_assign_admin and rights.grant_sync == "persist"
    assert not github.enabled and github.identity_issuer == "https://github.com"


def test_options_without_a_meaning_are_ignored_with_a_notice(tmp_path: Path) -> None:
    path = tmp_path / "headgate.toml"
    path.write_text(
        """[auth]
jwt-secret = "x"
[auth.ingestion]
enabled = false
[auth.internal]
enabled = true
signup-enabled = true
""",
        "utf-8",
    )
    configuration = configure({}, {}, str(path))
    assert configuration.settings.signup_enabled
    assert [it.partition("[auth] ")[2].split()[0] for it in configuration.notices] == [
        *("jwt-secret", "ingestion", "internal.enabled"),
    ]
