"""Loads the settings from flags, environment variables, the configuration file and defaults.

A flag overrides a variable, which overrides the file. The file is TOML with InfluxDB's names, so
that an existing `influxdb.conf` is accepted unchanged.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from headgate_grammar import parse_duration
from headgate_server.config.foreign_keys import HTTP_KEYS, TOP_KEYS, misspelt_key, misspelt_section
from headgate_server.config.gateway import GatewaySettings
from headgate_server.config.gateway_reader import read_gateway_settings
from headgate_server.config.jwt import JwtSettings, read_jwt_settings
from headgate_server.config.nearest_name import closest_name, suggestion
from headgate_server.config.secret_files import holds_secret, named_secret_files, readable_by_others
from headgate_server.config.settings import Settings, SettingsSource
from headgate_server.config.text_file import read_text

_TYPE_NAMES: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a duration such as 10s or 2m",
    str: "a string",
}
_ENVIRONMENT_PREFIXES = tuple(
    f"HEADGATE_{section}_" for section in ("HTTP", "STORE", "AUTH", "AUDIT", "GATEWAY")
)
_BOOLEAN_WORDS = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
_NANOSECONDS_PER_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class _Option:
    """A key of the configuration: its field in `Settings`, its type, and the limits of its value.

    - *kind*: the type of the value; float stands for a duration.
    - *least*, *most*: the limits of a number.
    - *header*: whether the text is sent in an HTTP header, and must be printable ASCII.
    - *octal*: whether the text is a file mode such as 0660.
    - *among*: the allowed values; () allows all.
    """

    field: str
    kind: type
    least: int = 0
    most: int = (1 << 63) - 1
    header: bool = False
    octal: bool = False
    among: tuple[str | int, ...] = ()
    words: bool = False  # several texts: a list, or one text with commas or spaces between them


_OPTIONS = {
    option.metadata["key"]: _Option(
        option.name,
        type(option.default),
        **{name: value for name, value in option.metadata.items() if name != "key"},
    )
    for option in fields(Settings)
    if option.metadata
}
_SECRET_FILE_KEY = "http.shared-secret-file"
_MORE_SECRETS_KEY = "http.more-secrets"
JWT_SECTION = "auth.jwt"
GATEWAY_SECTION = "gateway"
# Tables of the file. No flag or environment variable can set a whole table.
_TABLE_SECTIONS = (JWT_SECTION, GATEWAY_SECTION)
# Keys of [gateway] that flags and environment can set: the short form, for one upstream store.
_SHORT_FORM_KEYS = ("gateway.upstream", "gateway.protocol")
_KEYS = (
    _OPTIONS
    | {_SECRET_FILE_KEY: _Option("", str)}
    | dict.fromkeys(_SHORT_FORM_KEYS, _Option("", str))
)


class ConfigurationError(Exception):
    """A setting is invalid. The text is one line: where it is set, its name, what is expected."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings, and sentences about the settings for the log: *notices* and *warnings*.

    A notice is about an ignored key or a weak secret. A warning is about a file with secrets that
    other users of the machine can read or change.
    """

    settings: Settings
    notices: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


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
    for layer in (
        _from_file(path, notices, secret_files) if path is not None else {},
        _from_environment(environment),
        _from_flags(flags),
    ):
        values |= _resolve_secret_file(layer, secret_files)
    more_secrets, jwt = (
        tuple(values.pop(_MORE_SECRETS_KEY, ())),
        values.pop(JWT_SECTION, JwtSettings()),
    )
    gateway = _gateway_settings(values)
    settings = Settings(
        **{_OPTIONS[key].field: value for key, value in values.items()},
        additional_secrets=more_secrets,
        jwt=jwt,
        gateway=gateway,
        source=SettingsSource(
            {key: value for key, value in flags.items() if value is not None}, path
        ),
    )
    return Configuration(settings, notices, readable_by_others(secret_files))


def _gateway_settings(values: dict[str, Any]) -> GatewaySettings:
    """Removes the settings of `[gateway]` from *values*, and returns them.

    The short form, `gateway.upstream` and `gateway.protocol`, overrides the table.
    """
    table = values.pop(GATEWAY_SECTION, {})
    for key in _SHORT_FORM_KEYS:
        if key in values:
            table = {**table, key.partition(".")[2]: values.pop(key)}
    try:
        return read_gateway_settings(table)
    except ValueError as error:
        raise ConfigurationError(f"[{GATEWAY_SECTION}] {error}") from None


def _resolve_secret_file(layer: dict[str, Any], secret_files: list[str]) -> dict[str, Any]:
    """Returns *layer* with the secrets in `shared-secret-file` instead of the file's name.

    A layer is the settings of one source: the file, the environment or the flags. Also appends the
    name of the file with the secrets to *secret_files*.
    """
    path = layer.pop(_SECRET_FILE_KEY, None)
    if path is not None:
        secret_files.append(path)
        if layer.get("http.shared-secret"):
            raise ConfigurationError("shared-secret and shared-secret-file: expected one of them")
        layer["http.shared-secret"], *layer[_MORE_SECRETS_KEY] = _read_secrets(path)
    elif "http.shared-secret" in layer:
        # A secret replaces all secrets of a layer with lower precedence.
        layer[_MORE_SECRETS_KEY] = []
    return layer


def _from_flags(flags: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value
        if key == GATEWAY_SECTION
        else _validate(f"--{key.partition('.')[2]}", _KEYS[key], value)
        for key, value in flags.items()
        if value is not None
    }


def _from_file(path: str, notices: list[str], secret_files: list[str]) -> dict[str, Any]:
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
    own_sections = {key.partition(".")[0] for key in _OPTIONS} | {GATEWAY_SECTION}
    for section, content in document.items():
        if section == GATEWAY_SECTION and isinstance(content, dict):
            values[GATEWAY_SECTION] = content
        elif section in own_sections and isinstance(content, dict):
            for key, value in content.items():
                _read_key(path, section, key, value, values, notices)
        elif section in own_sections:
            raise ConfigurationError(f"{path}: {section} must be a section: [{section}]")
        else:
            notices.append(_ignored_notice(path, section, content, own_sections))
    own = {section: content for section, content in document.items() if section in own_sections}
    secret_files += [path] if holds_secret(own) else []
    secret_files += named_secret_files(own)
    return values


def _ignored_notice(path: str, name: str, content: object, own_sections: set[str]) -> str:
    """Returns the notice that Headgate ignores *name*, a top-level section or key, as influxd does.

    Raises ConfigurationError if *name* resembles a name of Headgate: *name* is probably misspelt.
    """
    if isinstance(content, dict | list):
        similar = misspelt_section(name, own_sections)
        if similar:
            known = ", ".join(sorted(own_sections))
            raise ConfigurationError(
                f"{path}: unknown section {name!r}, expected {known}; did you mean [{similar}]?"
            )
        return f"{path}: section [{name}] is not one of Headgate's, ignored"
    similar = misspelt_section(name, own_sections) or misspelt_key(name, _KEYS, exempt=TOP_KEYS)
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
    if full_key == JWT_SECTION and isinstance(value, dict):
        try:
            values[full_key] = read_jwt_settings(value)
        except ValueError as error:
            raise ConfigurationError(f"{path}: [{JWT_SECTION}] {error}") from None
    elif full_key in _KEYS:
        option = _KEYS[full_key]
        # influxd ignores an empty duration and an empty mode, too.
        if value != "" or not (option.kind is float or option.octal):
            values[full_key] = _validate(where, option, value)
    elif section == "http":
        if similar := misspelt_key(key, _KEYS, exempt=HTTP_KEYS):
            suggested = similar.removeprefix("[http] ")
            raise ConfigurationError(f"{where}: unknown key, did you mean {suggested}?")
        notices.append(f"{where} is not one of Headgate's, ignored")
    else:
        known = {name.partition(".")[2] for name in _KEYS if name.startswith(section)}
        raise ConfigurationError(f"{where}: unknown key{suggestion(key, known)}")


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """Returns the values that the environment sets, by key.

    An empty value counts as unset, as in influxd: `NAME=${NAME}` in a Compose file sets an empty
    value if NAME is unset.
    """
    set_variables = {name: text for name, text in environment.items() if text}
    values: dict[str, Any] = {}
    known = {"HEADGATE_" + _environment_suffix(full) for full in _KEYS}
    for name in set_variables:
        if name.startswith(_ENVIRONMENT_PREFIXES) and name not in known:
            raise ConfigurationError(f"{name}: {_unknown_variable(name, known)}")
    for full, option in _KEYS.items():
        suffix = _environment_suffix(full)
        # InfluxDB's name first, so that Headgate's overrides it.
        for name in (f"INFLUXDB_{suffix}", f"HEADGATE_{suffix}"):
            if name in set_variables and (full.startswith("http.") or name.startswith("HEADGATE")):
                values[full] = _validate(name, option, _convert(option, set_variables[name]))
    return values


def _environment_suffix(key: str) -> str:
    return re.sub("[.-]", "_", key).upper()


def _unknown_variable(name: str, known: set[str]) -> str:
    """Returns the error text for the unknown environment variable *name*, with a suggestion."""
    names = {one.lower().replace("_", "-"): one for one in known}
    similar = names.get(closest_name(name, names), "")
    for table in () if similar else _TABLE_SECTIONS:
        if name.startswith(f"HEADGATE_{_environment_suffix(table)}"):
            return f"the table [{table}] must be set in the configuration file"
    return (
        f"no such setting, did you mean {similar}?"
        if similar
        else f"no such setting{suggestion(name, known)}"
    )


def _convert(option: _Option, text: str) -> object:
    """Returns *text* converted to the type of *option*.

    Returns *text* unchanged if it is invalid for that type: `_validate` then rejects it.
    """
    if option.kind is bool:
        return _BOOLEAN_WORDS.get(text.lower(), text)
    if option.kind is int and re.fullmatch("-?[0-9]{1,19}", text):
        return int(text)
    return text


def _validate(where: str, option: _Option, value: object) -> object:
    if option.kind is float:
        return _parse_seconds(where, value)
    if option.words and isinstance(value, list) and all(isinstance(one, str) for one in value):
        value = " ".join(value)
    # In Python bool is a subclass of int, but `true` is not a number for the user.
    if not isinstance(value, option.kind) or (option.kind is int and isinstance(value, bool)):
        raise ConfigurationError(f"{where}: expected {_TYPE_NAMES[option.kind]}")
    if isinstance(value, int) and not isinstance(value, bool):
        if not option.least <= value <= option.most:
            limits = f"{option.least} to {option.most}"
            raise ConfigurationError(f"{where}: expected {limits}")
        _check_among(where, option, value)
    if isinstance(value, str):
        _check_text(where, option, value)
    return value


def _check_text(where: str, option: _Option, text: str) -> None:
    if option.header and not (text.isascii() and text.isprintable()):
        raise ConfigurationError(f"{where}: expected printable ASCII")
    if "\0" in text:
        raise ConfigurationError(f"{where}: expected no NUL character")
    if option.octal and not re.fullmatch("0?[0-7]{3}", text):
        raise ConfigurationError(f"{where}: expected a mode such as 0660")
    _check_among(where, option, text)


def _check_among(where: str, option: _Option, value: str | int) -> None:
    if option.among and value not in option.among:
        raise ConfigurationError(f"{where}: expected {' or '.join(map(str, option.among))}")


def _parse_seconds(where: str, value: object) -> float:
    try:
        return parse_duration(str(value)) / _NANOSECONDS_PER_SECOND if value != "0" else 0.0
    except ValueError:
        raise ConfigurationError(f"{where}: expected {_TYPE_NAMES[float]}") from None


def _read_secrets(path: str) -> list[str]:
    """Returns the secrets in the file *path*, one on each line. Each may sign tokens."""
    try:
        lines = read_text(path).split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "invalid UTF-8"
        raise ConfigurationError(f"shared-secret-file {path}: {reason}") from None
    secrets = [secret for line in lines if (secret := line.strip(" \t\r"))]
    if not secrets:
        raise ConfigurationError(f"shared-secret-file {path}: it is empty")
    return secrets
