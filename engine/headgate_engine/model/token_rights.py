"""Privileges claimed by a token."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from headgate_grammar import Privilege

# InfluxDB's database of its own metrics. "Every database" does not include it.
_INTERNAL = "_internal"


@dataclass(frozen=True, slots=True)
class Rights:
    """Privileges claimed by a token: *grants* by database, and *everywhere* on all others.

    *everywhere* is added to the grants, except on `_internal`. *admin* is the admin flag, or None
    to leave it unchanged. Databases that do not exist are ignored.
    """

    grants: Mapping[str, Privilege] = field(default_factory=dict)
    everywhere: Privilege = Privilege.NONE
    admin: bool | None = None

    def on(self, databases: Iterable[str]) -> dict[str, Privilege]:
        """Returns the privileges on *databases*, without those that have none."""
        found = {
            name: self.grants.get(name, Privilege.NONE)
            | (self.everywhere if name != _INTERNAL else Privilege.NONE)
            for name in databases
        }
        return {name: privilege for name, privilege in found.items() if privilege}
