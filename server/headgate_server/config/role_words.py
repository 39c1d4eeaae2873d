"""Reads the names of roles: those of Pyroscope and Grafana, and Headgate's own."""

from collections.abc import Mapping
from typing import Any

from headgate_grammar import Privilege
from headgate_server.config.values import texts

# Roles of Pyroscope and Grafana, as shorthands. None stands for the admin flag.
ROLE_PRIVILEGES: Mapping[str, Privilege | None] = {
    "admin": None,
    "grafanaadmin": None,
    "editor": Privilege.ALL,
    "agent": Privilege.WRITE,
    "readonly": Privilege.READ,
    "viewer": Privilege.READ,
    "none": Privilege.NONE,
}
_ROLES = {name.lower(): name for name in ("ReadOnly", "Viewer", "Agent", "Editor", "Admin", "None")}
_PROTECTED = {
    **{name: (name,) for name in ("admins", "writers", "readers")},
    "server_admins": ("admins",),
    "org_admins": ("admins",),
    "editors": ("writers",),
    "viewers": ("readers",),
    "all": ("admins", "writers", "readers"),
}


def role_word(value: Any) -> str:
    """Returns the role *value*, in any case of letters, as it is written. Raises ValueError."""
    found = _ROLES.get(value.lower(), "") if isinstance(value, str) else ""
    if not found:
        raise ValueError("expected ReadOnly, Agent, Editor, Admin or None")
    return found


def protected_roles(value: Any) -> tuple[str, ...]:
    """Returns the roles `admins`, `writers` and `readers` that *value* names. Raises ValueError.

    *value* is a list, or a text with blanks between the words. Grafana's words are accepted.
    """
    found: list[str] = []
    for word in texts(value):
        if word not in _PROTECTED:
            raise ValueError(f"{word!r}: expected {', '.join(_PROTECTED)}")
        found += _PROTECTED[word]
    return tuple(dict.fromkeys(found))
