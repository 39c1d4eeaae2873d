"""Names of Grafana's and Pyroscope's options that are accepted in `[auth]`."""

from collections.abc import Mapping
from typing import Any

from headgate_server.config.oauth import FOREIGN_SECTIONS, foreign_providers

# Pyroscope's names, and Grafana's former ones, which count days.
_ALIASES = {
    "cookie-same-site": "cookie-samesite",
    "login-maximum-inactive-lifetime-days": "login-maximum-inactive-lifetime-duration",
    "login-maximum-lifetime-days": "login-maximum-lifetime-duration",
    "allow-sign-up": "signup-enabled",
    "auto-assign-org-role": "signup-default-role",
    "brute-force-login-protection-max-attempts": "max-login-attempts",
}


def canonical_auth(table: Mapping[str, Any]) -> dict[str, Any]:
    """Returns *table*, the section `[auth]` of a file, with Headgate's names and values.

    A key may have `_` for `-`. A number of days becomes a duration. Raises ValueError if two keys
    set one option, or a number of days is none.
    """
    values: dict[str, Any] = {}
    written: dict[str, str] = {}
    internal = table.get("internal", {})
    table = {key: value for key, value in table.items() if not _is_ignored(key, value)}
    if isinstance(internal, Mapping):
        table |= {key: it for key, it in internal.items() if key == "signup-enabled"}
    providers = {**foreign_providers(table), **_own_providers(table)}
    for key, value in table.items():
        dashed = key.replace("_", "-")
        if dashed == "oauth" or (dashed in FOREIGN_SECTIONS and isinstance(value, Mapping)):
            continue
        name = _ALIASES.get(dashed, dashed)
        if name in values:
            raise ValueError(f"{written[name]} and {key}: expected one of them")
        written[name] = key
        if dashed.endswith("-days"):
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise ValueError(f"{key}: expected a number of days, 0 or more")
            value = f"{value * 24}h"
        values[name] = value
    return values | ({"oauth": providers} if providers else {})


def ignored_keys(table: Mapping[str, Any]) -> list[str]:
    """Returns the keys in *table*, the section `[auth]`, that mean nothing here."""
    found: list[str] = []
    for key, value in table.items():
        if key == "internal" and isinstance(value, Mapping):
            found += [f"{key}.{inner}" for inner in value if inner != "signup-enabled"]
        elif _is_ignored(key, value):
            found.append(key)
    return found


def _is_ignored(key: str, value: object) -> bool:
    """Returns whether *key* is one of Pyroscope's that have no meaning here.

    Sessions are no JWT, each write needs a grant, and the first administrator is made by a client.
    """
    name = key.replace("_", "-")
    return name in ("jwt-secret", "ingestion") or (name == "internal" and isinstance(value, dict))


def _own_providers(table: Mapping[str, Any]) -> Mapping[str, Any]:
    providers = table.get("oauth", {})
    if not isinstance(providers, Mapping):
        raise ValueError("oauth: expected sections [auth.oauth.NAME]")
    return providers
