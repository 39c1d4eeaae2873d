"""Reads the settings in `[auth.jwt]`: the accepted issuers of tokens, and the rights of tokens.

The options have the names of Grafana's `[auth.jwt]`, with `-` or `_` between words. Where Grafana
has organizations, Headgate has databases: `org-mapping` is an alias of `db-mapping`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from headgate_engine import LinkPolicy
from headgate_server.config.option_fields import option, read_table
from headgate_server.config.values import boolean

SOURCES = ("jwk-set-url", "jwk-set-file", "jwk-set-value", "key-file", "key-value")
_TEXT_CLAIMS = ("iss", "sub")


def _claims(value: Any) -> Mapping[str, Any]:
    try:
        claims = json.loads(value or "{}") if isinstance(value, str) else value
    except (ValueError, RecursionError):
        raise ValueError("not JSON") from None
    if not isinstance(claims, dict):
        raise ValueError("expected a JSON object")
    for name in _TEXT_CLAIMS:
        if not isinstance(claims.get(name, ""), str):
            raise ValueError(f"{name}: expected a string")
    audience = claims.get("aud", [])
    listed = [audience] if isinstance(audience, str) else audience
    if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
        raise ValueError("aud: expected a string or a list of them")
    return claims


@dataclass(frozen=True, slots=True)
class JwtSettings:
    """The settings of one issuer of tokens. *also* has the settings of further issuers.

    Times are in seconds. Fields that end in `_path` are JMESPath expressions on the claims. Exactly
    one option in SOURCES must be set: it says where the issuer's keys are.
    """

    enabled: bool = option("Accept tokens of these issuers", False)
    iss: str = option("Required value of `iss`; each `[[auth.jwt.issuer]]` needs one", "")
    header_name: str = option("Header of the token, such as `Authorization`", "")
    url_login: bool = option("Also accept the URL parameter `auth_token`", False)
    username_claim: str = option("Claim of the user name", "")
    username_attribute_path: str = option("JMESPath of the user name", "")
    email_claim: str = option("Claim of the e-mail address", "")
    email_attribute_path: str = option("JMESPath of the e-mail address", "")
    auto_sign_up: bool = option("Create a user for a new identity", False)
    adopt_existing: LinkPolicy = option(
        "Existing users that a new identity may take over: `none`, `non_admin`, `any`",
        "none",
        among=("none", "non_admin", "any"),
    )
    jwk_set_url: str = option("URL of the key set", "")
    jwk_set_file: str = option("File of the key set", "")
    jwk_set_value: str = option("The key set itself", "", secret=True)
    key_file: str = option("PEM file of the key", "")
    key_value: str = option("The key itself, PEM", "", secret=True)
    key_id: str = option("Key id (`kid`) of the PEM key", "")
    jwk_set_bearer_token_file: str = option(
        "File of the bearer token for `jwk-set-url`; read at each fetch", ""
    )
    tls_client_ca: str = option("PEM file of the certificate authority of the key set's server", "")
    allow_insecure_jwk_set_url: bool = option("Accept `http` in `jwk-set-url`", False)
    cache_ttl: float = option(
        "Time that a fetched key set is used; `0s`: fetch for each verification", 3600.0
    )
    min_cache_ttl: float = option("Least time that a fetched key set is used", 5.0)
    stale_if_error: float = option(
        "Time that the last keys are used while their server fails", 86_400.0
    )
    unknown_kid_refresh_cooldown: float = option(
        "Least time between two fetches for an unknown `kid`", 10.0
    )
    algorithms: tuple[str, ...] = option("Accepted algorithms; none: all of the key's type", ())
    expect_claims: Mapping[str, Any] = option(
        "Required claims, as a table or as JSON text", {}, reader=_claims
    )
    audiences: tuple[str, ...] = option("Audiences of which a token must name one", ())
    require_exp: bool = option("Tokens need `exp`", True)
    leeway: float = option("Tolerance for differing clocks", 60.0)
    max_token_age: float = option("Maximum age since `iat`; `0s`: no limit", 0.0)
    max_token_bytes: int = option("Maximum length of a token", 16_384, least=1)
    accept_padded_signature: bool = option(
        "Accept signatures with base64 padding, such as those of AWS", False
    )
    role_attribute_path: str = option("JMESPath of the role", "")
    role_attribute_strict: bool = option("A token without a role is rejected with 403", False)
    allow_assign_admin: bool = option("A token may set and take the admin flag", False)
    databases_attribute_path: str = option("JMESPath of the groups that `db-mapping` maps", "")
    db_mapping: tuple[str, ...] = option(
        "Rows of `group:database:privilege`; `*` is every group or database", ()
    )
    grants_attribute_path: str = option("JMESPath of grants: an object or a list", "")
    auto_assign_databases: tuple[str, ...] = option(
        "Databases on which the role holds, if neither `db-mapping` nor the token's grants name"
        " one",
        (),
    )
    auto_assign_privilege: str = option(
        "Privilege on `auto-assign-databases` if the token has no role", "NONE"
    )
    grant_sync: str = option(
        "How grants in a token change the user: `persist`, `ephemeral` or `off`"
        " ([jwt.md](jwt.md#grants))",
        "persist",
        among=("persist", "ephemeral", "off"),
    )
    also: tuple["JwtSettings", ...] = ()

    @property
    def carries_rights(self) -> bool:
        """Whether the claims of a token determine its user's grants.

        If False, the grants in the user store stay unchanged.
        """
        return bool(
            self.role_attribute_path
            or self.databases_attribute_path
            or self.grants_attribute_path
            or self.db_mapping
            or self.auto_assign_databases
        )


_ALIASES = {
    "org-mapping": "db-mapping",
    "org-attribute-path": "databases-attribute-path",
    "allow-assign-grafana-admin": "allow-assign-admin",
}
# Options that identify an issuer: a further issuer never inherits them from the first issuer.
_NOT_INHERITED = (*SOURCES, "iss", "key-id", "jwk-set-bearer-token-file", "tls-client-ca")


# Options that are read before a token's issuer is known. So all issuers share their values.
SHARED_OPTIONS = frozenset({"header-name", "url-login", "max-token-bytes"})


def read_jwt_settings(table: Mapping[str, Any]) -> JwtSettings:
    """Returns the settings in the TOML *table*.

    Raises ValueError for an invalid setting: one line that begins with the option.
    """
    given = {canonical_key(key): value for key, value in table.items()}
    issuers = given.pop("issuer", [])
    if not isinstance(issuers, list) or not all(isinstance(one, dict) for one in issuers):
        raise ValueError("issuer: expected tables, [[auth.jwt.issuer]]")
    also = []
    for further in issuers:
        own = {canonical_key(key): value for key, value in further.items()}
        for key in SHARED_OPTIONS & own.keys():
            raise ValueError(f"issuer: {key}: expected only in [auth.jwt], for all issuers")
        one = _read(_inherited(given, own) | own)
        if not one.iss:
            raise ValueError("issuer: iss: expected the iss of its tokens")
        also.append(one)
    return replace(_read(given), also=tuple(also))


def _inherited(given: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the options that a further issuer inherits from the first issuer's options *given*.

    *own* are the further issuer's options. An option in *own* also replaces a different option with
    the same purpose: `grant-sync` in *own* replaces an inherited `skip-org-role-sync`.
    """
    other = {f"{what}-claim" for what in ("username", "email") if f"{what}-attribute-path" in own}
    if "grant-sync" in own:
        other.add("skip-org-role-sync")
    if "skip-org-role-sync" in own:
        other.add("grant-sync")
    kept = {
        key: value for key, value in given.items() if key not in _NOT_INHERITED and key not in other
    }
    if "expect-claims" in kept and "expect-claims" not in own:
        try:
            expected = _claims(kept["expect-claims"])
        except ValueError as error:
            raise ValueError(f"expect-claims: {error}") from None
        # Each issuer is identified by its own `iss`.
        kept["expect-claims"] = {name: it for name, it in expected.items() if name != "iss"}
    return kept


def canonical_key(key: str) -> str:
    """Returns the name of the option that *key* of `[auth.jwt]` sets.

    *key* may have `_` for `-`, or be one of Grafana's names, such as `org-mapping`.
    """
    dashed = key.replace("_", "-")
    return _ALIASES.get(dashed, dashed)


def _read(given: Mapping[str, Any]) -> JwtSettings:
    given = dict(given)
    if "skip-org-role-sync" in given and "grant-sync" in given:
        raise ValueError("skip-org-role-sync: expected either this or grant-sync")
    skip = given.pop("skip-org-role-sync", False)
    try:
        unsynced = boolean(skip)
    except ValueError as error:
        raise ValueError(f"skip-org-role-sync: {error}") from None
    settings = JwtSettings(**read_table(JwtSettings, given))
    return replace(settings, grant_sync="off") if unsynced else settings
