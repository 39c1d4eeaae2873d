"""Reads the settings in `[auth.jwt]`: the accepted issuers of tokens, and the rights of tokens.

The options have the names of Grafana's `[auth.jwt]`, with `-` or `_` between words. Where Grafana
has organizations, Headgate has databases: `org-mapping` is an alias of `db-mapping`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from headgate_engine import LinkPolicy
from headgate_server.config.values import boolean, one_of, read_options

SOURCES = ("jwk-set-url", "jwk-set-file", "jwk-set-value", "key-file", "key-value")
_TEXT_CLAIMS = ("iss", "sub")


@dataclass(frozen=True, slots=True)
class JwtSettings:
    """The settings of one issuer of tokens. *also* has the settings of further issuers.

    Times are in seconds. Fields that end in `_path` are JMESPath expressions on the claims. Exactly
    one option in SOURCES must be set: it says where the issuer's keys are.
    """

    enabled: bool = False
    iss: str = ""
    header_name: str = ""
    url_login: bool = False
    username_claim: str = ""
    username_attribute_path: str = ""
    email_claim: str = ""
    email_attribute_path: str = ""
    auto_sign_up: bool = False
    adopt_existing: LinkPolicy = "none"
    jwk_set_url: str = ""
    jwk_set_file: str = ""
    jwk_set_value: str = field(default="", repr=False)
    key_file: str = ""
    key_value: str = field(default="", repr=False)
    key_id: str = ""
    jwk_set_bearer_token_file: str = ""
    tls_client_ca: str = ""
    allow_insecure_jwk_set_url: bool = False
    cache_ttl: float = 3600.0
    min_cache_ttl: float = 5.0
    stale_if_error: float = 86400.0
    unknown_kid_refresh_cooldown: float = 10.0
    algorithms: tuple[str, ...] = ()
    expect_claims: Mapping[str, Any] = field(default_factory=dict)
    audiences: tuple[str, ...] = ()
    require_exp: bool = True
    leeway: float = 60.0
    max_token_age: float = 0.0
    max_token_bytes: int = 16_384
    accept_padded_signature: bool = False
    role_attribute_path: str = ""
    role_attribute_strict: bool = False
    allow_assign_admin: bool = False
    databases_attribute_path: str = ""
    db_mapping: tuple[str, ...] = ()
    grants_attribute_path: str = ""
    auto_assign_databases: tuple[str, ...] = ()
    auto_assign_privilege: str = "NONE"
    grant_sync: str = "persist"
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
_SHARED_OPTIONS = frozenset({"header-name", "url-login", "max-token-bytes"})


def read_jwt_settings(table: Mapping[str, Any]) -> JwtSettings:
    """Returns the settings in the TOML *table*.

    Raises ValueError for an invalid setting: one line that begins with the option.
    """
    given = {_name(key): value for key, value in table.items()}
    issuers = given.pop("issuer", [])
    if not isinstance(issuers, list) or not all(isinstance(one, dict) for one in issuers):
        raise ValueError("issuer: expected tables, [[auth.jwt.issuer]]")
    also = []
    for further in issuers:
        own = {_name(key): value for key, value in further.items()}
        for key in _SHARED_OPTIONS & own.keys():
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


def _name(key: str) -> str:
    dashed = key.replace("_", "-")
    return _ALIASES.get(dashed, dashed)


def _read(given: Mapping[str, Any]) -> JwtSettings:
    given = dict(given)
    if "skip-org-role-sync" in given and "grant-sync" in given:
        raise ValueError("skip-org-role-sync: expected either this or grant-sync")
    if "also" in given:
        raise ValueError("also: unknown option")
    skip = given.pop("skip-org-role-sync", False)
    try:
        unsynced = boolean(skip)
    except ValueError as error:
        raise ValueError(f"skip-org-role-sync: {error}") from None
    settings = JwtSettings(**read_options(JwtSettings, given, _READERS))
    return replace(settings, grant_sync="off") if unsynced else settings


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


_READERS = {
    "expect-claims": _claims,
    "adopt-existing": one_of("none", "non_admin", "any"),
    "grant-sync": one_of("persist", "ephemeral", "off"),
}
