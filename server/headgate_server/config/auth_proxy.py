"""Reads `[auth.proxy]`: a proxy in front that has authenticated the user names them in a header.

The options have the names of Grafana's `[auth.proxy]`, with `-` or `_` between words.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from headgate_engine import LinkPolicy
from headgate_server.config.jwt import JwtSettings, canonical_key, read_jwt_settings
from headgate_server.config.oauth import RIGHTS_OPTIONS
from headgate_server.config.option_fields import option, read_table
from headgate_server.config.values import seconds

PROPERTIES = ("Name", "Email", "Groups", "Role")


def _headers(value: Any) -> Mapping[str, str]:
    if not isinstance(value, str):
        raise ValueError('expected a text such as "Name:X-WEBAUTH-NAME Email:X-WEBAUTH-EMAIL"')
    found = {}
    for pair in value.split():
        name, colon, header = pair.partition(":")
        if name not in PROPERTIES or not colon or not header:
            raise ValueError(
                f"{pair!r}: expected one of {', '.join(PROPERTIES)}, a colon, a header"
            )
        found[name] = header
    return found


def _minutes_or_duration(value: Any) -> float:
    if isinstance(value, int) and not isinstance(value, bool):
        return value * 60.0
    return seconds(value)


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """The settings of `[auth.proxy]`. *headers* maps a property to the header that has it.

    *rights* has the options of `[auth.jwt]` about rights; they are applied to `groups` and `role`.
    """

    enabled: bool = option("Accept the user that a proxy names", False)
    header_name: str = option("Header with the user", "X-WEBAUTH-USER", header=True)
    header_property: str = option(
        "What the header has: `username` or `email`", "username", among=("username", "email")
    )
    whitelist: tuple[str, ...] = option(
        "Addresses and networks of the proxy, and `unix`; required", ()
    )
    headers: Mapping[str, str] = option(
        "Further headers: `Name:HEADER Email:HEADER Groups:HEADER Role:HEADER`",
        {},
        reader=_headers,
    )
    headers_encoded: bool = option("The headers are quoted-printable", False)
    allow_sign_up: bool = option("Create a user for a new name", True)
    adopt_existing: LinkPolicy = option(
        "Existing users that the proxy may name: `none`, `non_admin`, `any`",
        "none",
        among=("none", "non_admin", "any"),
    )
    sync_ttl: float = option(
        "Time for which equal headers change nothing; a number: minutes",
        900.0,
        reader=_minutes_or_duration,
    )
    enable_login_token: bool = option("The first request begins a session, too", False)
    forward_auth: bool = option("The header counts on `/auth`, too", False)
    rights: JwtSettings = JwtSettings()


_ALIASES = {"auto-sign-up": "allow-sign-up"}


def read_proxy_settings(table: Mapping[str, Any]) -> ProxySettings:
    """Returns the settings in the TOML *table*. Raises ValueError for an invalid setting."""
    given: dict[str, Any] = {}
    for key, value in table.items():
        name = canonical_key(key)
        given[_ALIASES.get(name, name)] = value
    rights = {key: given.pop(key) for key in RIGHTS_OPTIONS & given.keys()}
    settings = ProxySettings(**read_table(ProxySettings, given))
    own = {"databases-attribute-path": "groups", "role-attribute-path": "role"} | rights
    if not settings.headers.keys() & {"Groups", "Role"} and not rights:
        own = {}
    return replace(settings, rights=read_jwt_settings(own))
