"""Writes the tables of docs/settings.md from the declarations of the options.

Usage: python docs/settings_tables.py
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING
from pathlib import Path
from typing import Any

from headgate_server.config.anonymous import AnonymousSettings, BasicSettings
from headgate_server.config.auth_proxy import ProxySettings
from headgate_server.config.effective import format_duration
from headgate_server.config.gateway import (
    SHARED_TOKEN_OPTION,
    SHORT_FORM_OPTIONS,
    GatewaySettings,
    TenantTokenSettings,
    UpstreamSettings,
)
from headgate_server.config.jwt import JwtSettings
from headgate_server.config.ldap import (
    AttributeNames,
    GroupMapping,
    LdapServerSettings,
    LdapSettings,
)
from headgate_server.config.oauth import OAuthSettings
from headgate_server.config.option_fields import Option, OptionType, options_of
from headgate_server.config.route import Route
from headgate_server.config.settings import Settings

PAGE = Path(__file__).parent / "settings.md"
_HEAD = (
    "| key | environment variable | default | type | meaning |\n|---|---|---|---|---|\n"  # Markdown
)
_TABLE = re.compile(re.escape(_HEAD) + r"(?:\|.*\n)*")


def sections() -> Mapping[str, list[Option]]:
    """Returns the options of each section of the page, by the text of its heading."""
    settings = options_of(Settings).values()
    return {
        f"[{name}]": [option for option in settings if option.section == name]
        for name in dict.fromkeys(option.section for option in settings)
    } | {
        "[auth.jwt]": _of(JwtSettings),
        "[auth.oauth.NAME]": _of(OAuthSettings),
        "[auth.proxy]": _of(ProxySettings),
        "[auth.anonymous]": _of(AnonymousSettings),
        "[auth.basic]": _of(BasicSettings),
        "[auth.ldap]": _of(LdapSettings),
        "[[auth.ldap.servers]]": _of(LdapServerSettings),
        "[auth.ldap.servers.attributes]": _of(AttributeNames),
        "[[auth.ldap.servers.group-mappings]]": _of(GroupMapping),
        "[gateway]": [*SHORT_FORM_OPTIONS, *_of(GatewaySettings), SHARED_TOKEN_OPTION],
        "[[gateway.upstream]]": _of(UpstreamSettings),
        "[[gateway.upstream.routes]]": _of(Route),
        "[gateway.upstream.jwt]": _of(TenantTokenSettings),
    }


def _of(settings: type) -> list[Option]:
    return list(options_of(settings).values())


def table(options: Iterable[Option]) -> str:
    """Returns *options* as a table in Markdown."""
    rows = [
        f"| `{option.key}` | {_code(option.variable)} | {_default(option)} | {option.type.value}"
        f" | {option.doc} |\n"
        for option in options
    ]
    return _HEAD + "".join(rows)


def _default(option: Option) -> str:
    value: Any = option.default
    if option.default_doc:
        return option.default_doc
    if value is MISSING:
        return "required"
    if option.type is OptionType.TABLE or value in ("", ()):
        return "none"
    if option.type is OptionType.DURATION:
        return _code(format_duration(value))
    return _code(str(value).lower() if option.type is OptionType.BOOLEAN else str(value))


def _code(text: str) -> str:
    return f"`{text}`" if text else "none"


def render(page: str) -> str:
    """Returns *page*, the text of docs/settings.md, with its tables made anew."""
    for heading, options in sections().items():
        before, mark, after = page.partition(f"\n## `{heading}`\n")
        assert mark, f"docs/settings.md has no section {heading}"
        page = before + mark + _TABLE.sub(lambda _: table(options), after, count=1)  # noqa: B023
    return page


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text("utf-8")), "utf-8")
