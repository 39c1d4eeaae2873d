"""Prints the effective configuration as TOML, with the source of each value and without secrets."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from headgate_grammar import REDACTED, redact_destination
from headgate_server.config.auth_proxy import ProxySettings
from headgate_server.config.gateway import TenantTokenSettings
from headgate_server.config.jwt import SHARED_OPTIONS, JwtSettings
from headgate_server.config.ldap import LDAP_SECTION, LdapSettings
from headgate_server.config.loader import (
    GATEWAY_SECTION,
    JWT_SECTION,
    OAUTH_SECTION,
    Configuration,
)
from headgate_server.config.oauth import RIGHTS_OPTIONS
from headgate_server.config.option_fields import Option, OptionType, options_of
from headgate_server.config.route import Route
from headgate_server.config.settings import Settings

_UNITS = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))
_URL = re.compile(r"\s*https?://", re.IGNORECASE)  # its login and its query may be secrets
_SHARED_SECTIONS = ("auth", GATEWAY_SECTION)
# An option that another option without a field may set, too.
_ALTERNATIVE_KEYS = {"grant-sync": "skip-org-role-sync"}


def print_configuration(configuration: Configuration) -> str:
    """Returns the effective *configuration* as TOML, one option a line.

    Each line ends with the source of its value as a comment: a flag, an environment variable, a
    file, or `default`. A secret is only a comment without its value. All other lines are a valid
    configuration file with the same settings.
    """
    return "\n".join(_lines(configuration)).lstrip("\n") + "\n"


def configuration_hash(settings: Settings) -> str:
    """Returns a hash of the settings that servers with one user store need alike.

    These are the sections `[auth]` and `[gateway]` and the tables below, without secrets and
    without the addresses of upstream stores.
    """
    section, chosen = "", []
    for line in _lines(Configuration(settings)):
        if line.startswith("["):
            section = line.strip("[]").partition(".")[0]
        if section in _SHARED_SECTIONS and not line.startswith("urls = "):
            chosen.append(line)
    return hashlib.sha256("\n".join(chosen).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _lines(configuration: Configuration) -> Iterator[str]:
    settings, sources = configuration.settings, configuration.sources
    section = ""
    for full_key, option in options_of(type(settings)).items():
        if option.section != section:
            section = option.section
            yield from ("", f"[{section}]")
        if option.field:
            value: Any = getattr(settings, option.field)
            if value is None:
                continue
            source = sources.get(full_key, "default")
            if option.field == "shared_secret":
                value = settings.shared_secrets
            yield _line(option, value, source)
    yield from _jwt_lines(settings.jwt, sources)
    for provider in settings.oauth:
        table = f"{OAUTH_SECTION}.{provider.name}"
        yield from ("", f"[{table}]")
        yield from _table_lines(provider, table, sources)
        yield from _rights_lines(provider.rights, table, sources)
    for table, content in (
        ("auth.proxy", settings.proxy),
        ("auth.anonymous", settings.anonymous),
        ("auth.basic", settings.basic),
    ):
        yield from ("", f"[{table}]")
        yield from _table_lines(content, table, sources)
        if isinstance(content, ProxySettings):
            yield from _rights_lines(content.rights, table, sources)
    yield from _ldap_lines(settings.ldap, sources)
    yield from ("", f"[{GATEWAY_SECTION}]")
    yield from _table_lines(settings.gateway, GATEWAY_SECTION, sources)
    for number, upstream in enumerate(settings.gateway.upstreams):
        prefix = f"{GATEWAY_SECTION}.upstream[{number}]"
        yield from ("", f"[[{GATEWAY_SECTION}.upstream]]")
        short_form = {
            f"{prefix}.{option}": sources[f"{GATEWAY_SECTION}.{key}"]
            for option, key in (("urls", "upstream"), ("protocol", "protocol"))
            if f"{GATEWAY_SECTION}.{key}" in sources and f"{prefix}.urls" not in sources
        }
        yield from _table_lines(upstream, prefix, {**sources, **short_form})
        if upstream.jwt.enabled:
            yield from ("", f"[{GATEWAY_SECTION}.upstream.jwt]")
            inherited = f"{GATEWAY_SECTION}.jwt"
            yield from _table_lines(upstream.jwt, f"{prefix}.jwt", sources, inherited, upstream.jwt)


def _rights_lines(settings: JwtSettings, table: str, sources: Mapping[str, str]) -> Iterator[str]:
    """Yields a line for each option about rights in *table*, whose content is *settings*."""
    left_out = frozenset(options_of(JwtSettings).keys() - RIGHTS_OPTIONS)
    yield from _table_lines(settings, table, sources, left_out=left_out)


def _jwt_lines(settings: JwtSettings, sources: Mapping[str, str]) -> Iterator[str]:
    yield from ("", f"[{JWT_SECTION}]")
    yield from _table_lines(settings, JWT_SECTION, sources)
    for number, issuer in enumerate(settings.also):
        yield from ("", f"[[{JWT_SECTION}.issuer]]")
        prefix = f"{JWT_SECTION}.issuer[{number}]"
        yield from _table_lines(issuer, prefix, sources, JWT_SECTION, settings, SHARED_OPTIONS)


def _ldap_lines(settings: LdapSettings, sources: Mapping[str, str]) -> Iterator[str]:
    yield from ("", f"[{LDAP_SECTION}]")
    yield from _table_lines(settings, LDAP_SECTION, sources)
    if settings.config_file:
        return  # that file has the servers, and only one of the two may be set
    for number, server in enumerate(settings.servers):
        table, prefix = f"{LDAP_SECTION}.servers", f"{LDAP_SECTION}.servers[{number}]"
        yield from ("", f"[[{table}]]")
        yield from _table_lines(server, prefix, sources)
        yield from ("", f"[{table}.attributes]")
        yield from _table_lines(server.attributes, f"{prefix}.attributes", sources)
        for place, mapping in enumerate(server.group_mappings):
            yield from ("", f"[[{table}.group-mappings]]")
            yield from _table_lines(mapping, f"{prefix}.group-mappings[{place}]", sources)


def _table_lines(
    settings: Any,
    prefix: str,
    sources: Mapping[str, str],
    inherited: str = "",
    parent: Any = None,
    left_out: frozenset[str] = frozenset(),
) -> Iterator[str]:
    """Yields a line for each option of *settings*, except tables with a header of their own.

    *prefix* is the table's name, with which its keys in *sources* begin. *inherited* is the name of
    the table that it inherits options from, or "", and *parent* has the settings of that table. An
    option counts as inherited only if its value equals that in *parent*. The options in *left_out*
    are skipped.
    """
    for key, option in options_of(type(settings)).items():
        if not option.field or key in left_out:
            continue
        value = getattr(settings, option.field)
        if option.key == "headers" and isinstance(settings, ProxySettings):
            value = " ".join(f"{name}:{header}" for name, header in settings.headers.items())
        if isinstance(value, TenantTokenSettings):
            continue
        keys = (option.key, f"{option.key}-file", _ALTERNATIVE_KEYS.get(option.key, ""))
        source = "default"
        inherits = parent is not None and value == getattr(parent, option.field)
        for table in (prefix, inherited) if inherits else (prefix,):
            found = [sources[f"{table}.{one}"] for one in keys if f"{table}.{one}" in sources]
            if found:
                source = found[0] if table == prefix else f"[{inherited}] of {found[0]}"
                break
        yield _line(option, value, source)


def _line(option: Option, value: Any, source: str) -> str:
    if option.secret:
        what = REDACTED if value else "not set"
        return f"# {option.key}: {what}  # {source}"
    return f"{option.key} = {_toml(option, value)}  # {source}"


def _toml(option: Option, value: Any) -> str:
    if option.type is OptionType.DURATION:
        return _quoted(format_duration(value))
    return _toml_value(value)


def _toml_value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _quoted(redact_destination(value) if _URL.match(value) else value)
        case Route():
            options = options_of(Route).values()
            chosen = [(one, getattr(value, one.field)) for one in options]
            pairs = [f"{one.key} = {_toml_value(its)}" for one, its in chosen if its]
            return "{" + ", ".join(pairs) + "}"
        case Mapping():
            pairs = [f"{_quoted(key)} = {_toml_value(its)}" for key, its in value.items()]
            return "{" + ", ".join(pairs) + "}"
        case tuple() | list():
            return "[" + ", ".join(map(_toml_value, value)) + "]"
    return str(value)


def _quoted(text: str) -> str:
    """Returns *text* as a basic string of TOML: a JSON string in which DEL is escaped, too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


def format_duration(seconds: float) -> str:
    """Returns *seconds* as a duration such as `2m`, in the largest unit without a fraction."""
    for unit, size in _UNITS:
        if seconds and not seconds % size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds * 1e9:.0f}ns" if seconds else "0s"
