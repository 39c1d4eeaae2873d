"""Converts command-line flags of the proxies auth-gateway and cortex-gateway to `[gateway]`."""

import argparse
from typing import Any

# The flag's name after `gateway.`, the place of its value in the table of the upstream store, and
# the placeholder of its value in `--help`.
_FLAGS = (
    ("distributor.address", ("components", "distributor"), "URL"),
    ("query-frontend.address", ("components", "query-frontend"), "URL"),
    ("querier.address", ("components", "querier"), "URL"),
    ("ruler.address", ("components", "ruler"), "URL"),
    ("rules.address", ("components", "ruler"), "URL"),
    ("alertmanager.address", ("components", "alertmanager"), "URL"),
    ("auth.jwt-secret", ("jwt", "secret"), "SECRET"),
    ("auth.jwt-extra-headers", ("jwt", "extra-headers"), "NAMES"),
    ("auth.tenant-id-claim", ("jwt", "tenant-claim"), "CLAIM"),
    ("auth.tenant-name", ("tenant-name",), "NAME"),
    ("auth.jwks-url", ("jwt", "jwk-set-url"), "URL"),
    ("auth.jwks-refresh-interval", ("jwt", "cache-ttl"), "MINUTES"),
)
_FLAG_PREFIX = "gateway."
_REFRESH_INTERVAL_FLAG = "auth.jwks-refresh-interval"


class InvalidFlags(Exception):
    """A flag has an invalid value, or flags contradict each other."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of auth-gateway and cortex-gateway to *parser*."""
    group = parser.add_argument_group("auth-gateway's flags, for Mimir and Loki")
    for name, _, metavar in _FLAGS:
        group.add_argument(f"--{_FLAG_PREFIX}{name}", metavar=metavar, dest=_FLAG_PREFIX + name)
    group.add_argument(
        "--gateway.auth.require-exp",
        choices=("true", "false"),
        dest="gateway.auth.require-exp",
        help="whether tokens must have an expiry, exp (default: true)",
    )
    group.add_argument(
        "--gateway.allow-anonymous",
        action="store_const",
        const=True,
        dest="gateway.allow-anonymous",
        help="allow tenant-name, which requires no login",
    )


def gateway_table(flags: dict[str, Any]) -> dict[str, Any] | None:
    """Removes auth-gateway's flags from *flags* and returns them as a `[gateway]` table.

    Returns None if no flag describes an upstream store. Raises InvalidFlags for an invalid value.
    """
    upstream: dict[str, Any] = {}
    for name, place, _ in _FLAGS:
        value = flags.pop(_FLAG_PREFIX + name, None)
        if (
            name == _REFRESH_INTERVAL_FLAG
            and value is not None
            and not (value.isascii() and value.isdigit())
        ):
            raise InvalidFlags(f"--{_FLAG_PREFIX}{name}: expected minutes, a whole number")
        if value is not None:
            _set_value(upstream, place, f"{value}m" if name == _REFRESH_INTERVAL_FLAG else value)
    require_exp = flags.pop("gateway.auth.require-exp", None)
    if require_exp is not None:
        _set_value(upstream, ("jwt", "require-exp"), require_exp == "true")
    anonymous = flags.pop("gateway.allow-anonymous", None)
    if not upstream:
        return None
    upstream["protocol"] = flags.pop("gateway.protocol", None) or _infer_protocol(upstream)
    url = flags.pop("gateway.upstream", None)
    if url is not None:
        upstream["urls"] = url
    table: dict[str, Any] = {"upstream": [upstream]}
    return table | {"allow-anonymous": True} if anonymous else table


def _set_value(upstream: dict[str, Any], keys: tuple[str, ...], value: Any) -> None:
    *folders, last = keys
    inner = upstream
    for folder in folders:
        inner = inner.setdefault(folder, {})
    if inner.get(last, value) != value:
        raise InvalidFlags(f"--gateway.{last}.address: given twice, as rules and as ruler")
    inner[last] = value


def _infer_protocol(upstream: dict[str, Any]) -> str:
    """Returns the protocol of *upstream*: `loki` for a querier, `mimir` for an alertmanager.

    Raises InvalidFlags if its components include both of them, or neither.
    """
    components = upstream.get("components", {})
    if "querier" in components and "alertmanager" not in components:
        return "loki"
    if "alertmanager" in components and "querier" not in components:
        return "mimir"
    raise InvalidFlags("--protocol: expected mimir or loki beside auth-gateway's flags")
