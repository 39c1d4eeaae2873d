"""Converts command-line flags of the proxies auth-gateway and cortex-gateway to `[gateway]`."""

import argparse
from collections.abc import Sequence
from typing import Any

# The flag's name after `gateway.`, the place of its value in the table of the upstream store, the
# placeholder of its value in `--help`, and its meaning.
_FLAGS = (
    (
        "distributor.address",
        ("components", "distributor"),
        "URL",
        "where writes go",
    ),
    (
        "query-frontend.address",
        ("components", "query-frontend"),
        "URL",
        "where queries go",
    ),
    (
        "querier.address",
        ("components", "querier"),
        "URL",
        "where names of labels go",
    ),
    ("ruler.address", ("components", "ruler"), "URL", "where rules go"),
    ("rules.address", ("components", "ruler"), "URL", "the same as ruler.address"),
    (
        "alertmanager.address",
        ("components", "alertmanager"),
        "URL",
        "where alerts go",
    ),
    ("auth.jwt-secret", ("jwt", "secret"), "SECRET", "secret of the tenants' tokens"),
    (
        "auth.jwt-extra-headers",
        ("jwt", "extra-headers"),
        "NAMES",
        "further headers of tokens",
    ),
    (
        "auth.tenant-id-claim",
        ("jwt", "tenant-claim"),
        "CLAIM",
        "claim of the tenant (tenant_id)",
    ),
    ("auth.tenant-name", ("tenant-name",), "NAME", "tenant of all requests, without a login"),
    ("auth.jwks-url", ("jwt", "jwk-set-url"), "URL", "key set that verifies the tenants' tokens"),
    (
        "auth.jwks-refresh-interval",
        ("jwt", "cache-ttl"),
        "MINUTES",
        "how long it is kept (60)",
    ),
)
_FLAG_PREFIX = "gateway."
_REFRESH_INTERVAL_FLAG = "auth.jwks-refresh-interval"


class InvalidFlags(Exception):
    """A flag has an invalid value, or flags contradict each other."""


def add_flags(parser: argparse.ArgumentParser) -> Sequence[argparse.Action]:
    """Adds the flags of auth-gateway and cortex-gateway to *parser*, and returns them."""
    group = parser.add_argument_group("auth-gateway's flags, for Mimir and Loki")
    plain = [
        group.add_argument(
            f"--{_FLAG_PREFIX}{name}", metavar=metavar, dest=_FLAG_PREFIX + name, help=meaning
        )
        for name, _, metavar, meaning in _FLAGS
    ]
    require_exp = group.add_argument(
        "--gateway.auth.require-exp",
        choices=("true", "false"),
        dest="gateway.auth.require-exp",
        help="whether tokens must have an expiry, exp (default: true)",
    )
    allow_anonymous = group.add_argument(
        "--gateway.allow-anonymous",
        action="store_const",
        const=True,
        dest="gateway.allow-anonymous",
        help="allow tenant-name, which requires no login",
    )
    return [*plain, require_exp, allow_anonymous]


def gateway_table(flags: dict[str, Any]) -> dict[str, Any] | None:
    """Removes auth-gateway's flags from *flags* and returns them as a `[gateway]` table.

    Returns None if no flag describes an upstream store. Raises InvalidFlags for an invalid value.
    """
    upstream: dict[str, Any] = {}
    for name, place, *_ in _FLAGS:
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
