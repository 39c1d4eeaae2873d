"""Loads the settings from flags, environment variables, the configuration file and defaults.

A flag overrides a variable, which overrides the file. The file is TOML with InfluxDB's names, so
that an existing `influxdb.conf` is accepted unchanged.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from headgate_server.config.anonymous import read_anonymous_settings, read_basic_settings
from headgate_server.config.auth_aliases import canonical_auth, ignored_keys
from headgate_server.config.auth_proxy import read_proxy_settings
from headgate_server.config.foreign_keys import HTTP_KEYS, TOP_KEYS, misspelt_key, misspelt_section
from headgate_server.config.gateway import SHORT_FORM_OPTIONS, GatewaySettings
from headgate_server.config.gateway_reader import read_gateway_settings
from headgate_server.config.jwt import canonical_key, read_jwt_settings
from headgate_server.config.ldap import LDAP_SECTION
from headgate_server.config.ldap_reader import canonical_ldap_key, read_ldap_settings
from headgate_server.config.nearest_name import closest_name, suggestion
from headgate_server.config.oauth import canonical_oauth_key, read_oauth_settings
from headgate_server.config.option_fields import Option, OptionType, options_of
from headgate_server.config.option_sources import OptionSources, dashed
from headgate_server.config.secret_files import holds_secret, named_secret_files, readable_by_others
from headgate_server.config.settings import Settings, SettingsSource
from headgate_server.config.text_file import read_text

_ENVIRONMENT_PREFIXES = tuple(
    f"HEADGATE_{section}_" for section in ("HTTP", "STORE", "AUTH", "CONSOLE", "AUDIT", "GATEWAY")
)
_BOOLEAN_WORDS = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}

_STORE_PASSWORD = "store.password"
_SECRET_FILE_KEY = "http.shared-secret-file"
_MORE_SECRETS_KEY = "http.more-secrets"
JWT_SECTION = "auth.jwt"
OAUTH_SECTION = "auth.oauth"
# Tables in `[auth]`: the field of Settings, and what reads the table.
AUTH_TABLES: Mapping[str, tuple[str, Callable[..., Any]]] = {
    JWT_SECTION: ("jwt", read_jwt_settings),
    OAUTH_SECTION: ("oauth", read_oauth_settings),
    LDAP_SECTION: ("ldap", read_ldap_settings),
    "auth.proxy": ("proxy", read_proxy_settings),
    "auth.anonymous": ("anonymous", read_anonymous_settings),
    "auth.basic": ("basic", read_basic_settings),
}
_CANONICAL_KEYS: Mapping[str, Callable[[str], str]] = {
    JWT_SECTION: canonical_key,
    OAUTH_SECTION: canonical_oauth_key,
    LDAP_SECTION: canonical_ldap_key,
}
GATEWAY_SECTION = "gateway"
# Tables of the file. No flag or environment variable can set a whole table.
_TABLE_SECTIONS = (*AUTH_TABLES, GATEWAY_SECTION)
_SHORT_FORM = {option.full_key: option for option in SHORT_FORM_OPTIONS}
# The options that flags, environment and file can set, by full key such as `http.realm`.
SETTABLE: Mapping[str, Option] = {**options_of(Settings), **_SHORT_FORM}
# The full key that each environment variable sets. InfluxDB's names come first, so that Headgate's
# override them.
_VARIABLES: Mapping[str, str] = {
    name: full
    for full, option in SETTABLE.items()
    if option.variable
    for name in (option.variable.replace("HEADGATE", "INFLUXDB", 1), option.variable)
    if full.startswith("http.") or name.startswith("HEADGATE")
}
_OWN_VARIABLES = frozenset(name for name in _VARIABLES if name.startswith("HEADGATE"))


class ConfigurationError(Exception):
    """A setting is invalid. The text is one line: where it is set, its name, what is expected."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings, and sentences about the settings for the log: *notices* and *warnings*.

    A notice is about an ignored key or a weak secret. A warning is about a file with secrets that
    other users of the machine can read or change. *sources* has the source of each option that is
    set: a flag, an environment variable or a file. Its keys are options with their section, for
    example `http.realm` or `gateway.upstream[0].urls`.
    """

    settings: Settings
    notices: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    sources: Mapping[str, str] = field(default_factory=dict)


def load(
    flags: Mapping[str, Any], environment: Mapping[str, str], path: str | None
) -> Configuration:
    """Returns the configuration from *flags*, *environment* and the file at *path*.

    The keys of *flags* are those of the file, such as `http.bind-address`. The value None stands
    for a flag that is not set. This function validates each value alone;
    `headgate_server.validation` checks combinations of values. Raises ConfigurationError.
    """
    notices: list[str] = []
    secret_files: list[str] = []
    values: dict[str, Any] = {}
    sources = OptionSources()
    for layer in (
        _from_file(path, notices, secret_files, sources) if path is not None else {},
        _from_environment(environment, sources),
        _from_flags(flags, sources),
    ):
        layer = _resolve_password_file(layer, secret_files, sources)
        values |= _resolve_secret_file(layer, secret_files, sources)
    more_secrets = tuple(values.pop(_MORE_SECRETS_KEY, ()))
    tables = {
        field: values.pop(section)
        for section, (field, _) in AUTH_TABLES.items()
        if section in values
    }
    ldap = tables.get("ldap")
    if ldap is not None and ldap.config_file and any(one.bind_password for one in ldap.servers):
        secret_files.append(ldap.config_file)
    gateway = _gateway_settings(values)
    settings = Settings(
        **{SETTABLE[key].field: value for key, value in values.items()},
        additional_secrets=more_secrets,
        **tables,
        gateway=gateway,
        source=SettingsSource(
            {key: value for key, value in flags.items() if value is not None}, path
        ),
    )
    return Configuration(settings, notices, readable_by_others(secret_files), sources.found)


def _gateway_settings(values: dict[str, Any]) -> GatewaySettings:
    """Removes the settings of `[gateway]` from *values*, and returns them.

    The keys `gateway.upstream` and `gateway.protocol`, the short form of one store, override the
    table. Raises ConfigurationError for an invalid setting.
    """
    table = values.pop(GATEWAY_SECTION, {})
    for key in _SHORT_FORM:
        if key in values:
            table = {**table, key.partition(".")[2]: values.pop(key)}
    try:
        return read_gateway_settings(table)
    except ValueError as error:
        raise ConfigurationError(f"[{GATEWAY_SECTION}] {error}") from None


def _resolve_secret_file(
    layer: dict[str, Any], secret_files: list[str], sources: OptionSources
) -> dict[str, Any]:
    """Returns *layer* with the secrets from the file that its `shared-secret-file` names.

    A layer is the settings of one source: the file, the environment or the flags. The name of the
    file with the secrets is removed from *layer*, and appended to *secret_files*. Raises
    ConfigurationError if the file is unusable, or if *layer* also has `shared-secret`.
    """
    path = layer.pop(_SECRET_FILE_KEY, None)
    if path is not None:
        secret_files.append(path)
        if layer.get("http.shared-secret"):
            raise ConfigurationError("shared-secret and shared-secret-file: expected one of them")
        layer["http.shared-secret"], *layer[_MORE_SECRETS_KEY] = _read_secrets(
            path, "shared-secret-file"
        )
        sources.move(_SECRET_FILE_KEY, "http.shared-secret")
    elif "http.shared-secret" in layer:
        # A secret replaces all secrets of a layer with lower precedence.
        layer[_MORE_SECRETS_KEY] = []
    return layer


def _resolve_password_file(
    layer: dict[str, Any], secret_files: list[str], sources: OptionSources
) -> dict[str, Any]:
    """Returns *layer* with the password of the store from the file that it names.

    Raises ConfigurationError if the file is unusable, or if *layer* also has the password.
    """
    path = layer.pop(f"{_STORE_PASSWORD}-file", None)
    if path is not None:
        secret_files.append(path)
        if layer.get(_STORE_PASSWORD):
            raise ConfigurationError("[store] password and password-file: expected one of them")
        layer[_STORE_PASSWORD] = _read_secrets(path, "[store] password-file")[0]
        sources.move(f"{_STORE_PASSWORD}-file", _STORE_PASSWORD)
    return layer


def _from_flags(flags: Mapping[str, Any], sources: OptionSources) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in flags.items():
        if value is None:
            continue
        if key == GATEWAY_SECTION:
            values[key] = value
            sources.add_table(key, value, "flags of auth-gateway")
        else:
            option = SETTABLE[key]
            flag = option.flag or f"--{option.key}"
            values[key] = _read(flag, option, value)
            sources.add(key, flag)
    return values


def _from_file(
    path: str, notices: list[str], secret_files: list[str], sources: OptionSources
) -> dict[str, Any]:
    try:
        document = tomllib.loads(read_text(path))
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None
    except (
        ValueError,
        RecursionError,
    ) as error:  # ValueError: also a number with thousands of digits
        raise ConfigurationError(f"{path}: no TOML: {error}") from None
    values: dict[str, Any] = {}
    own_sections = {key.partition(".")[0] for key in SETTABLE}
    for section, content in document.items():
        if section == GATEWAY_SECTION and isinstance(content, dict):
            values[GATEWAY_SECTION] = content
            sources.add_table(GATEWAY_SECTION, content, path)
        elif section in own_sections and isinstance(content, dict):
            if section == "auth":
                notices += [
                    f"{path}: [auth] {key} is Pyroscope's and has no meaning here, ignored"
                    for key in ignored_keys(content)
                ]
                content = _canonical_auth(path, content)
            for key, value in content.items():
                _read_key(path, section, key, value, values, notices)
                _add_source(sources, path, f"{section}.{key}", value, values)
        elif section in own_sections:
            raise ConfigurationError(f"{path}: {section} must be a section: [{section}]")
        else:
            notices.append(_ignored_notice(path, section, content, own_sections))
    own = {section: content for section, content in document.items() if section in own_sections}
    secret_files += [path] if holds_secret(own) else []
    secret_files += named_secret_files(own)
    return values


def _canonical_auth(path: str, table: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return canonical_auth(table)
    except ValueError as error:
        raise ConfigurationError(f"{path}: [auth] {error}") from None


def _ignored_notice(path: str, name: str, content: object, own_sections: set[str]) -> str:
    """Returns the notice that the unknown section or top-level key *name* is ignored.

    *content* is its value in the file *path*. Raises ConfigurationError if *name* resembles a name
    of Headgate, which it probably misspells.
    """
    if isinstance(content, dict | list):
        similar = misspelt_section(name, own_sections)
        if similar:
            known = ", ".join(sorted(own_sections))
            raise ConfigurationError(
                f"{path}: unknown section {name!r}, expected {known}; did you mean [{similar}]?"
            )
        return f"{path}: section [{name}] is not one of Headgate's, ignored"
    similar = misspelt_section(name, own_sections) or misspelt_key(name, SETTABLE, exempt=TOP_KEYS)
    if similar:
        where = similar if similar.startswith("[") else f"[{similar}]"
        raise ConfigurationError(f"{path}: unknown key {name!r}, did you mean {where}?")
    return f"{path}: {name} is not one of Headgate's, ignored"


def _read_key(
    path: str, section: str, key: str, value: Any, values: dict[str, Any], notices: list[str]
) -> None:
    full_key = f"{section}.{key}"
    where = f"{path}: [{section}] {key}"
    if full_key == "http.enabled" and value is False:
        raise ConfigurationError(f"{where}: expected true: there is nothing else to serve")
    if full_key in AUTH_TABLES and isinstance(value, dict):
        _, read = AUTH_TABLES[full_key]
        try:
            values[full_key] = read(value, notices) if full_key == LDAP_SECTION else read(value)
        except ValueError as error:
            raise ConfigurationError(f"{path}: [{full_key}] {error}") from None
    elif full_key in SETTABLE:
        option = SETTABLE[full_key]
        # influxd ignores an empty duration and an empty mode, too.
        if value != "" or not (option.type is OptionType.DURATION or option.octal):
            values[full_key] = _read(where, option, value)
    elif section == "http":
        if similar := misspelt_key(key, SETTABLE, exempt=HTTP_KEYS):
            suggested = similar.removeprefix("[http] ")
            raise ConfigurationError(f"{where}: unknown key, did you mean {suggested}?")
        notices.append(f"{where} is not one of Headgate's, ignored")
    else:
        known = {name.partition(".")[2] for name in SETTABLE if name.startswith(section)}
        raise ConfigurationError(f"{where}: unknown key{suggestion(key, known)}")


def _add_source(
    sources: OptionSources, path: str, full_key: str, value: Any, values: Mapping[str, Any]
) -> None:
    """Records that the file *path* sets *full_key* to *value*.

    Does nothing if *full_key* was ignored: then *values*, the accepted options, lacks it.
    """
    if full_key not in values:
        return
    if full_key in AUTH_TABLES:
        sources.add_table(full_key, value, path, _CANONICAL_KEYS.get(full_key, dashed))
    else:
        sources.add(full_key, path)


def _from_environment(environment: Mapping[str, str], sources: OptionSources) -> dict[str, Any]:
    """Returns the values that the environment sets, by key.

    An empty value counts as unset, as in influxd: `NAME=${NAME}` in a Compose file sets an empty
    value if NAME is unset. Raises ConfigurationError for an unknown variable of Headgate, or for an
    invalid value.
    """
    set_variables = {name: text for name, text in environment.items() if text}
    values: dict[str, Any] = {}
    for name in set_variables:
        if name.startswith(_ENVIRONMENT_PREFIXES) and name not in _OWN_VARIABLES:
            raise ConfigurationError(f"{name}: {_unknown_variable(name)}")
    for name, full in _VARIABLES.items():
        if name in set_variables:
            option = SETTABLE[full]
            values[full] = _read(name, option, _convert(option, set_variables[name]))
            sources.add(full, name)
    return values


def _unknown_variable(name: str) -> str:
    """Returns the error text for the unknown environment variable *name*, with a suggestion."""
    names = {one.lower().replace("_", "-"): one for one in _OWN_VARIABLES}
    similar = names.get(closest_name(name, names), "")
    for table in () if similar else _TABLE_SECTIONS:
        if name.startswith(f"HEADGATE_{table.replace('.', '_').upper()}"):
            return f"the table [{table}] must be set in the configuration file"
    return (
        f"no such setting, did you mean {similar}?"
        if similar
        else f"no such setting{suggestion(name, _OWN_VARIABLES)}"
    )


def _convert(option: Option, text: str) -> object:
    """Returns *text* as a boolean or an integer, if *option* has that type.

    Returns other text unchanged, for `Option.read` to convert or reject.
    """
    if option.type is OptionType.BOOLEAN:
        return _BOOLEAN_WORDS.get(text.lower(), text)
    if option.type is OptionType.INTEGER and re.fullmatch("-?[0-9]{1,19}", text):
        return int(text)
    return text


def _read(where: str, option: Option, value: object) -> object:
    """Returns *value* converted by *option*.

    Raises ConfigurationError for an invalid value. Its text begins with *where*.
    """
    try:
        return option.read(value)
    except ValueError as error:
        raise ConfigurationError(f"{where}: {error}") from None


def _read_secrets(path: str, option: str) -> list[str]:
    """Returns the secrets in the file *path*, one on each line. *option* names the file.

    Raises ConfigurationError if the file cannot be read, or has no secret.
    """
    try:
        lines = read_text(path).split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "invalid UTF-8"
        raise ConfigurationError(f"{option} {path}: {reason}") from None
    secrets = [secret for line in lines if (secret := line.strip(" \t\r"))]
    if not secrets:
        raise ConfigurationError(f"{option} {path}: it is empty")
    return secrets
