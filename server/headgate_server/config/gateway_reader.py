"""Reads and checks the settings of the upstream stores, `[gateway]` in the configuration file."""

import re
from collections.abc import Mapping
from typing import Any

from headgate_server.config.gateway import (
    GatewaySettings,
    TenantTokenSettings,
    UpstreamSettings,
)
from headgate_server.config.option_fields import options_of, read_table

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
    if isinstance(upstreams, str | tuple) or _is_string_list(upstreams):
        upstreams = [{"urls": upstreams} | ({"protocol": protocol} if protocol else {})]
    elif protocol is not None:
        raise ValueError("protocol: expected an upstream's address beside it")
    if not isinstance(upstreams, list) or not all(isinstance(one, dict) for one in upstreams):
        raise ValueError("upstream: expected an address, or tables: [[gateway.upstream]]")
    values = read_table(GatewaySettings, given)
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
        values = read_table(UpstreamSettings, given)
        if own.keys() & {"secret", "secret-file"}:  # replaces the secrets of [gateway.jwt]
            jwt = {key: it for key, it in jwt.items() if key not in ("secret", "secret-file")}
        tokens = _read_tokens({**jwt, **own})
        values["name"] = (
            values.get("name")
            or values.get("protocol")
            or options_of(UpstreamSettings)["protocol"].default
        )
        settings = UpstreamSettings(**values, jwt=tokens)
        _check_upstream(settings)
    except ValueError as error:
        name = given.get("name")
        raise ValueError(f"upstream{f' {name!r}' if name else ''}: {error}") from None
    return settings


def _read_tokens(given: dict[str, Any]) -> TenantTokenSettings:
    try:
        return TenantTokenSettings(**read_table(TenantTokenSettings, given))
    except ValueError as error:
        raise ValueError(f"jwt: {error}") from None


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
