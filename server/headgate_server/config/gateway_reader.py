"""Reads and checks the settings of the upstream stores, `[gateway]` in the configuration file."""

import re
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

from headgate_server.config.gateway import (
    COMPONENTS,
    GatewaySettings,
    Route,
    TenantTokenSettings,
    UpstreamSettings,
)
from headgate_server.config.text_file import read_text
from headgate_server.config.values import (
    Read,
    boolean,
    one_of,
    positive_integer,
    read_options,
    text,
    texts,
)

# Values of a route's `format`: formats of written data in which Headgate can rename labels.
WRITE_FORMATS = ("line", "remote-write", "json", "text", "csv")
_EXPECTED_ADDRESSES = "expected addresses such as http://host:8086"
_NAME_PATTERN = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MOUNT_PATTERN = re.compile(r"(/[A-Za-z0-9_.-]+)+")
_HEADER_PATTERN = re.compile(r"[A-Za-z0-9-]+")


def read_gateway_settings(table: Mapping[str, Any]) -> GatewaySettings:
    """Returns the settings in the TOML *table*.

    Its option `upstream` is an array with one table for each upstream store. If there is only one
    store, `upstream` may also be that store's address, or a list of its addresses. Raises
    ValueError for an invalid setting: one line that begins with the option.
    """
    given = {key.replace("_", "-"): value for key, value in table.items()}
    upstreams, protocol = given.pop("upstream", []), given.pop("protocol", None)
    jwt = given.pop("jwt", {})
    if isinstance(upstreams, str) or _is_string_list(upstreams):
        upstreams = [{"urls": upstreams} | ({"protocol": protocol} if protocol else {})]
    elif protocol is not None:
        raise ValueError("protocol: expected an upstream's address beside it")
    if not isinstance(upstreams, list) or not all(isinstance(one, dict) for one in upstreams):
        raise ValueError("upstream: expected an address, or tables: [[gateway.upstream]]")
    if "upstreams" in given:
        raise ValueError("upstreams: unknown option")
    converters = {
        "rate-per-user": _non_negative,
        "max-concurrent-per-user": _non_negative,
        "trusted-proxies": _networks,
    }
    values = read_options(GatewaySettings, given, converters)
    settings = GatewaySettings(
        **values,
        upstreams=tuple(_read_upstream(_require_table("jwt", jwt), one) for one in upstreams),
    )
    _check_gateway(settings)
    return settings


def _is_string_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, str) for one in value)


def _require_table(where: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where}: expected a table")
    return {key.replace("_", "-"): content for key, content in value.items()}


def _read_upstream(jwt: Mapping[str, Any], table: Mapping[str, Any]) -> UpstreamSettings:
    given = _require_table("upstream", table)
    try:
        own = _require_table("jwt", given.pop("jwt", {}))
        _read_secret_file(given, "password")
        _read_secret_file(given, "token")
        values = read_options(UpstreamSettings, given, _UPSTREAM_CONVERTERS)
        if own.keys() & {"secret", "secret-file"}:  # replaces the secrets of [gateway.jwt]
            jwt = {key: it for key, it in jwt.items() if key not in ("secret", "secret-file")}
        tokens = _read_tokens({**jwt, **own})
        values["name"] = (
            values.get("name") or values.get("protocol") or UpstreamSettings("").protocol
        )
        settings = UpstreamSettings(**values, jwt=tokens)
        _check_upstream(settings)
    except ValueError as error:
        name = given.get("name")
        raise ValueError(f"upstream{f' {name!r}' if name else ''}: {error}") from None
    return settings


def _read_tokens(given: dict[str, Any]) -> TenantTokenSettings:
    try:
        if "secrets" in given:  # a field of TenantTokenSettings, but not an option
            raise ValueError("unknown key 'secrets', did you mean secret?")
        named = [given[key] for key in ("secret", "secret-file") if key in given]
        if len(named) > 1:
            raise ValueError("secret and secret-file: expected one of them")
        _read_secret_file(given, "secret")
        secret = text(given.pop("secret", ""))
        values = read_options(TenantTokenSettings, given, _TOKEN_CONVERTERS)
    except ValueError as error:
        raise ValueError(f"jwt: {error}") from None
    # A file has one secret per line; a token may be signed with any of them.
    secrets = tuple(one for line in secret.split("\n") if (one := line.strip(" \t\r")))
    return TenantTokenSettings(**values, secrets=secrets)


def _read_secret_file(given: dict[str, Any], key: str) -> None:
    """Replaces the option `<key>-file` in *given* by *key*, with the content of the file."""
    path = given.pop(f"{key}-file", None)
    if path is None:
        return
    if key in given:
        raise ValueError(f"{key} and {key}-file: expected one of them")
    try:
        content = read_text(text(path)).strip(" \t\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "invalid UTF-8"
        raise ValueError(f"{key}-file {path}: {reason}") from None
    if not content:
        raise ValueError(f"{key}-file {path}: it is empty")
    given[key] = content


def _non_negative(value: Any) -> int:
    return 0 if value == 0 and not isinstance(value, bool) else positive_integer(value)


def _networks(value: Any) -> tuple[str, ...]:
    networks = texts(value)
    for one in networks:
        try:
            ip_network(one)
        except ValueError:
            raise ValueError(f"{one!r}: expected networks such as 10.0.0.0/8") from None
    return networks


def _urls(value: Any) -> tuple[str, ...]:
    urls = texts(value)
    for url in urls:
        try:
            parts = urlsplit(url)
            valid = parts.scheme in ("http", "https") and parts.port != 0
        except ValueError:  # an invalid port, or unbalanced brackets
            raise ValueError(_EXPECTED_ADDRESSES) from None
        if not valid or not parts.hostname:
            raise ValueError(_EXPECTED_ADDRESSES)
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("an address has no login, query or fragment: see username, token")
    return tuple(url.rstrip("/") for url in urls)


def _components(value: Any) -> Mapping[str, tuple[str, ...]]:
    given = {
        "ruler" if key == "rules" else key: urls for key, urls in _require_table("", value).items()
    }
    for key in given:
        if key not in COMPONENTS:
            raise ValueError(f"{key}: expected one of {', '.join(COMPONENTS)}")
    return {key: _urls(urls) for key, urls in given.items()}


def _mapping(value: Any) -> Mapping[str, str]:
    if not isinstance(value, dict):
        raise ValueError("expected a table of strings")
    return {key: text(content) for key, content in value.items()}


def _versions(value: Any) -> Mapping[str, int]:
    if not isinstance(value, dict):
        raise ValueError("expected a table of whole numbers")
    return {key: _non_negative(content) for key, content in value.items()}


def _routes(value: Any) -> tuple[Route, ...]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise ValueError("expected tables: [[gateway.upstream.routes]]")
    return tuple(map(read_route, value))


def read_route(table: Mapping[str, Any]) -> Route:
    """Returns the route in the TOML *table*: which privilege some paths require.

    Raises ValueError if *table* is invalid.
    """
    if not {"methods", "paths", "privilege"} <= table.keys():
        raise ValueError("a route has methods, paths and privilege")
    converters: dict[str, Read] = {
        "methods": texts,
        "paths": texts,
        "privilege": one_of("READ", "WRITE", "MANAGE", "ADMIN"),
        "websocket": boolean,
        "format": one_of(*WRITE_FORMATS),
    }
    values: dict[str, Any] = {"component": "", "websocket": False}
    for key, value in table.items():
        if key == "methods":
            value = [one.upper() for one in texts(value)]
        if key not in ("methods", "paths", "privilege", "component", "websocket", "format"):
            raise ValueError(f"{key}: unknown option of a route")
        read: Read = converters.get(key) or text
        values[key] = read(value)
    route = Route(**values)
    if not all(path.startswith("/") for path in route.paths):
        raise ValueError("paths: expected them to begin with /")
    if route.component and route.component not in COMPONENTS:
        raise ValueError(f"component: expected one of {', '.join(COMPONENTS)}")
    return route


_UPSTREAM_CONVERTERS = {
    "urls": _urls,
    "components": _components,
    "tenants": _mapping,
    "manage-needs": one_of("admin", "all"),
    "routes": _routes,
}
_TOKEN_CONVERTERS = {"privilege": one_of("READ", "WRITE", "ALL"), "versions": _versions}


def _check_upstream(settings: UpstreamSettings) -> None:
    if _NAME_PATTERN.fullmatch(settings.name) is None:
        raise ValueError("name: expected letters, digits, - and _")
    if settings.mount and _MOUNT_PATTERN.fullmatch(settings.mount) is None:
        raise ValueError("mount: expected a path such as /vm")
    if settings.password and not settings.username:
        raise ValueError("password: expected a username beside it")
    for name in ("username", "password", "token"):
        if not getattr(settings, name).isprintable():
            raise ValueError(f"{name}: expected one line of printable text")
    if settings.token and settings.username:
        raise ValueError("token and username: expected one of them")
    for header in settings.jwt.extra_headers:
        if _HEADER_PATTERN.fullmatch(header) is None:
            raise ValueError(f"jwt: extra-headers: {header!r} is an invalid header name")
    if any(":" in host or "*" in host for host in settings.hosts):
        raise ValueError("hosts: expected names, without ports or *")
    if len(set(settings.tenants.values())) < len(settings.tenants):
        raise ValueError("tenants: two databases of one name")


def _check_gateway(settings: GatewaySettings) -> None:
    names = [one.name for one in settings.upstreams]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"upstream: {name!r} twice: expected names that differ")
    mount_points = [(host, one.mount) for one in settings.upstreams for host in one.hosts or ("",)]
    for place in mount_points:
        if mount_points.count(place) > 1:
            raise ValueError(f"upstream: two of them at mount {place[1]!r} of the same host")
    for one in settings.upstreams:
        if one.tenant_name and not settings.allow_anonymous:
            raise ValueError(
                "tenant-name accepts requests without a login:"
                " expected allow-anonymous = true in [gateway]"
            )
