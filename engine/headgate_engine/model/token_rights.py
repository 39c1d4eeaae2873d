"""Privileges that a JWT claims for its user."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from headgate_grammar import Privilege

# InfluxDB's database of its own metrics. `TokenRights.all_databases` does not apply to it.
_INTERNAL_DATABASE = "_internal"


@dataclass(frozen=True, slots=True)
class TokenRights:
    """Privileges claimed by a token.

    *grants* are privileges by database name. *all_databases* is a further privilege on each
    database except `_internal`. *admin* is the admin flag, or None to leave the flag unchanged.
    Databases that do not exist are ignored.
    """

    grants: Mapping[str, Privilege] = field(default_factory=dict)
    all_databases: Privilege = Privilege.NONE
    admin: bool | None = None

    def privileges_on(self, databases: Iterable[str]) -> dict[str, Privilege]:
        """Returns the privilege on each of *databases*.

        A database on which the token claims no privilege is left out.
        """
        found = {
            name: self.grants.get(name, Privilege.NONE)
            | (self.all_databases if name != _INTERNAL_DATABASE else Privilege.NONE)
            for name in databases
        }
        return {name: privilege for name, privilege in found.items() if privilege}
