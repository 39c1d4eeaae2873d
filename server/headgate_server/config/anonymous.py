"""Reads `[auth.anonymous]` and `[auth.basic]`: requests without a login, and with a password."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headgate_server.config.option_fields import option, read_table

# Also roles of Grafana's `org_role`.
_PRIVILEGES = {"READ": "READ", "VIEWER": "READ", "WRITE": "WRITE", "ALL": "ALL", "EDITOR": "ALL"}


def _privilege(value: Any) -> str:
    found = _PRIVILEGES.get(value.upper(), "") if isinstance(value, str) else ""
    if not found:
        raise ValueError("expected READ, WRITE or ALL")
    return found


@dataclass(frozen=True, slots=True)
class AnonymousSettings:
    """The settings of `[auth.anonymous]`: the user that requests without a login act as."""

    enabled: bool = option("Requests without a login act as `user`", False)
    user: str = option("Name of an existing user without the admin flag", "")
    privilege: str = option(
        "Bounds the grants of `user`: `READ`, `WRITE` or `ALL`", "READ", reader=_privilege
    )


@dataclass(frozen=True, slots=True)
class BasicSettings:
    """The settings of `[auth.basic]`."""

    enabled: bool = option("`false`: passwords are refused; API keys in their place work", True)


def read_anonymous_settings(table: Mapping[str, Any]) -> AnonymousSettings:
    """Returns the settings in the TOML *table*. Raises ValueError for an invalid setting."""
    given = {key.replace("_", "-"): value for key, value in table.items()}
    if "org-role" in given:
        given["privilege"] = given.pop("org-role")
    settings = AnonymousSettings(**read_table(AnonymousSettings, given))
    if settings.enabled and not settings.user:
        raise ValueError("user: expected the name of a user")
    return settings


def read_basic_settings(table: Mapping[str, Any]) -> BasicSettings:
    """Returns the settings in the TOML *table*. Raises ValueError for an invalid setting."""
    given = {key.replace("_", "-"): value for key, value in table.items()}
    return BasicSettings(**read_table(BasicSettings, given))
