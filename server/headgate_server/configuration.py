"""Settings from flags, environment, file and defaults, in this order of precedence.

The file is TOML with InfluxDB's names, so an `influxdb.conf` can be given as it is.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from headgate_grammar import parse_duration
from headgate_server.gateway import GatewaySettings, read_gateway_settings
from headgate_server.gateway.check import check as check_gateway
from headgate_server.jwt import Issuers, JwtSettings, read_jwt_settings
from headgate_server.proxies import parsed
from headgate_server.settings import Settings, Source
from headgate_server.tokens import check_secret

# What an influxdb.conf may hold and Headgate has no use for. It is named, not obeyed.
_INFLUXDB_SECTIONS = frozenset(
    "meta data coordinator retention shard-precreation monitor ifql logging subscriber graphite"
    " collectd opentsdb udp continuous_queries tls".split()
)
_INFLUXDB_KEYS = frozenset(
    "enabled flux-enabled flux-log-enabled suppress-write-log access-log-path"
    " access-log-status-filters write-tracing pprof-enabled pprof-auth-enabled"
    " debug-pprof-enabled max-row-limit max-concurrent-write-limit max-enqueued-write-limit"
    " enqueued-write-timeout prom-read-auth-enabled headers".split()
)

_KINDS: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a duration such as 10s or 2m",
    str: "a string",
}
_OURS = tuple(f"HEADGATE_{section}_" for section in ("HTTP", "STORE", "AUTH", "AUDIT", "GATEWAY"))
_WORDS = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class _Option:
    """A key that may be set: its field of Settings, its type, the limits of a number, and of a
    text whether it goes into a header, is a file's mode, or is one of a few. A float is a duration.
    """

    field: str
    kind: type
    least: int = 0
    most: int = (1 << 63) - 1
    header: bool = False
    octal: bool = False
    among: tuple[str, ...] = ()


_OPTIONS = {
    option.metadata["key"]: _Option(
        option.name,
        type(option.default),
        **{name: value for name, value in option.metadata.items() if name != "key"},
    )
    for option in fields(Settings)
    if option.metadata
}
_SECRET_FILE = "http.shared-secret-file"
_MORE = "http.more-secrets"
_JWT = "auth.jwt"
_GATEWAY = "gateway"
# Of [gateway], the short form of one store may also come from flags and the environment.
_SHORT = ("gateway.upstream", "gateway.protocol")
_KEYS = _OPTIONS | {_SECRET_FILE: _Option("", str)} | dict.fromkeys(_SHORT, _Option("", str))
_STRONG_BYTES = 32


class ConfigurationError(Exception):
    """A setting is wrong. One line: where it stands, which it is, what was expected."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings, and sentences about what was found but is ignored."""

    settings: Settings
    notices: list[str] = field(default_factory=list)


def configure(
    flags: Mapping[str, Any], environment: Mapping[str, str], path: str | None
) -> Configuration:
    """The configuration from *flags* (keys as in the file, None for not given), *environment*
    and the file at *path*. Raises ConfigurationError.
    """
    notices: list[str] = []
    values: dict[str, Any] = {}
    for layer in (
        _from_file(path, notices) if path is not None else {},
        _from_environment(environment),
        _from_flags(flags),
    ):
        values |= _with_secret(layer)
    more, jwt = tuple(values.pop(_MORE, ())), values.pop(_JWT, JwtSettings())
    gateway = _gateway(values)
    settings = Settings(
        **{_OPTIONS[key].field: value for key, value in values.items()},
        more_secrets=more,
        jwt=jwt,
        gateway=gateway,
        source=Source({key: value for key, value in flags.items() if value is not None}, path),
    )
    _check(settings)
    notices += _weak(settings)
    return Configuration(settings, notices)


def configure_again(settings: Settings, environment: Mapping[str, str]) -> Settings:
    """*settings* with the tokens' part of them as it is now. Raises ConfigurationError."""
    now = configure(settings.source.flags, environment, settings.source.path).settings
    return replace(
        settings,
        jwt=now.jwt,
        shared_secret=now.shared_secret,
        more_secrets=now.more_secrets,
        gateway=now.gateway,
    )


def _gateway(values: dict[str, Any]) -> GatewaySettings:
    """`[gateway]`, of which flags and environment may say a part or give another."""
    table = values.pop(_GATEWAY, {})
    for key in _SHORT:
        if key in values:
            table = {**table, key.partition(".")[2]: values.pop(key)}
    try:
        return read_gateway_settings(table)
    except ValueError as error:
        raise ConfigurationError(f"[{_GATEWAY}] {error}") from None


def _check(settings: Settings) -> None:
    try:
        settings.address()
    except ValueError as error:
        raise ConfigurationError(f"bind-address: {error}") from None
    try:
        parsed(settings.proxies)
    except ValueError:
        expected = "expected networks such as 10.0.0.0/8, with commas between them"
        raise ConfigurationError(f"trusted-proxies: {expected}") from None
    try:
        for secret in settings.shared_secrets:
            check_secret(secret)
    except ValueError as error:
        raise ConfigurationError(f"shared-secret: {error}") from None
    if settings.jwt.enabled:
        _check_jwt(settings.jwt)
    try:
        check_gateway(settings.gateway)
    except ValueError as error:
        raise ConfigurationError(f"[{_GATEWAY}] {error}") from None
    if settings.exposed() and not settings.allow_insecure:
        raise ConfigurationError(
            f"bind-address {settings.bind_address} without https-enabled:"
            " refused by allow-insecure = false"
        )
    if not settings.store_path or os.path.isdir(settings.store_path):
        raise ConfigurationError(f"store path {settings.store_path!r}: expected a file's name")


def _check_jwt(settings: JwtSettings) -> None:
    try:
        Issuers(settings)
    except ValueError as error:
        raise ConfigurationError(f"[{_JWT}] {error}") from None


def _weak(settings: Settings) -> list[str]:
    """A sentence for each secret that could be guessed from a token. Raises ConfigurationError if
    that is not allowed.
    """
    secrets = {"shared-secret": settings.shared_secrets} | {
        f"[{_GATEWAY}] upstream {one.name!r}: jwt: secret": one.jwt.secrets
        for one in settings.gateway.upstreams
    }
    said = [
        f"{name}: shorter than {_STRONG_BYTES} bytes, it can be guessed from a token"
        for name, these in secrets.items()
        if any(len(secret.encode()) < _STRONG_BYTES for secret in these)
    ]
    if said and settings.enforce_strong_secret:
        raise ConfigurationError(f"{said[0]}: refused by enforce-strong-secret")
    return said


def _with_secret(layer: dict[str, Any]) -> dict[str, Any]:
    """*layer* with the secret itself where it names a file for it."""
    path = layer.pop(_SECRET_FILE, None)
    if path is not None:
        if layer.get("http.shared-secret"):
            raise ConfigurationError("shared-secret and shared-secret-file: expected one of them")
        layer["http.shared-secret"], *layer[_MORE] = _secrets(path)
    elif "http.shared-secret" in layer:
        layer[_MORE] = []  # none of another layer's file
    return layer


def _from_flags(flags: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value if key == _GATEWAY else _checked(f"--{key.partition('.')[2]}", _KEYS[key], value)
        for key, value in flags.items()
        if value is not None
    }


def _from_file(path: str, notices: list[str]) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            document = tomllib.load(file)
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigurationError(f"{path}: no TOML: {error}") from None
    values: dict[str, Any] = {}
    ours = {key.partition(".")[0] for key in _OPTIONS} | {_GATEWAY}
    for section, content in document.items():
        if section == _GATEWAY and isinstance(content, dict):
            values[_GATEWAY] = content
        elif section in ours and isinstance(content, dict):
            for key, value in content.items():
                _take(path, section, key, value, values, notices)
        elif section in _INFLUXDB_SECTIONS:
            notices.append(f"{path}: section [{section}] is InfluxDB's, ignored")
        elif section in ours:
            raise ConfigurationError(f"{path}: {section} must be a section: [{section}]")
        elif section in ("reporting-disabled", "reporting-enabled", "bind-address"):
            notices.append(f"{path}: {section} is InfluxDB's, ignored")
        else:
            known = ", ".join(sorted(ours))
            kind = "section" if isinstance(content, dict | list) else "key"
            raise ConfigurationError(f"{path}: unknown {kind} {section!r}, expected {known}")
    return values


def _take(
    path: str, section: str, key: str, value: Any, values: dict[str, Any], notices: list[str]
) -> None:
    full = f"{section}.{key}"
    where = f"{path}: [{section}] {key}"
    if full == "http.enabled" and value is False:
        raise ConfigurationError(f"{where}: expected true: there is nothing else to serve")
    if full == _JWT and isinstance(value, dict):
        try:
            values[full] = read_jwt_settings(value)
        except ValueError as error:
            raise ConfigurationError(f"{path}: [{_JWT}] {error}") from None
    elif full in _KEYS:
        values[full] = _checked(where, _KEYS[full], value)
    elif section == "http" and key in _INFLUXDB_KEYS:
        notices.append(f"{where} is InfluxDB's, ignored")
    else:
        known = {name.partition(".")[2] for name in _KEYS if name.startswith(section)}
        raise ConfigurationError(f"{where}: unknown key{_nearest(key, known)}")


def _nearest(name: str, known: set[str]) -> str:
    """A suggestion, or all that there is."""
    near = difflib.get_close_matches(name, known, 1)
    return f", did you mean {near[0]}?" if near else f", expected one of {', '.join(sorted(known))}"


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    known = {"HEADGATE_" + re.sub("[.-]", "_", full).upper() for full in _KEYS}
    for name in environment:
        if name.startswith(_OURS) and name not in known:
            raise ConfigurationError(f"{name}: no such setting{_nearest(name, known)}")
    for full, option in _KEYS.items():
        shape = full.replace(".", "_").replace("-", "_").upper()
        # InfluxDB's own name first, so that ours overrides it.
        for name in (f"INFLUXDB_{shape}", f"HEADGATE_{shape}"):
            if name in environment and (full.startswith("http.") or name.startswith("HEADGATE")):
                values[full] = _checked(name, option, _typed(option, environment[name]))
    return values


def _typed(option: _Option, text: str) -> object:
    """*text* as the type of the option, or as it is where that cannot be."""
    if option.kind is bool:
        return _WORDS.get(text.lower(), text)
    if option.kind is int and re.fullmatch("-?[0-9]{1,19}", text):
        return int(text)
    return text


def _checked(where: str, option: _Option, value: object) -> object:
    if option.kind is float:
        return _seconds(where, value)
    # bool is an int to Python, and not to a person.
    if not isinstance(value, option.kind) or (option.kind is int and isinstance(value, bool)):
        raise ConfigurationError(f"{where}: expected {_KINDS[option.kind]}")
    if isinstance(value, int) and not isinstance(value, bool):
        if not option.least <= value <= option.most:
            limits = f"{option.least} to {option.most}"
            raise ConfigurationError(f"{where}: expected {limits}")
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
    if option.among and text not in option.among:
        raise ConfigurationError(f"{where}: expected {' or '.join(option.among)}")


def _seconds(where: str, value: object) -> float:
    try:
        return parse_duration(str(value)) / _SECOND if value != "0" else 0.0
    except ValueError:
        raise ConfigurationError(f"{where}: expected {_KINDS[float]}") from None


def _secrets(path: str) -> list[str]:
    """The secrets in the file *path*, one a line: any of them may have signed a token."""
    try:
        lines = Path(path).read_text("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no UTF-8"
        raise ConfigurationError(f"shared-secret-file {path}: {reason}") from None
    secrets = [line.strip() for line in lines if line.strip()]
    if not secrets:
        raise ConfigurationError(f"shared-secret-file {path}: it is empty")
    return secrets
