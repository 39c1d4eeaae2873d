"""What somebody is to have, by somebody else's word."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from headgate_grammar import Privilege

# Holds what a server says of itself; "every database" does not mean it.
_INTERNAL = "_internal"


@dataclass(frozen=True, slots=True)
class Rights:
    """What somebody is to have: on databases by name, on *everywhere* else, and the admin flag,
    None where it is not to be touched. Databases that do not exist count for nothing.
    """

    grants: Mapping[str, Privilege] = field(default_factory=dict)
    everywhere: Privilege = Privilege.NONE
    admin: bool | None = None

    def on(self, databases: Iterable[str]) -> dict[str, Privilege]:
        """What that is on *databases*, without those on which it is nothing."""
        found = {
            name: self.grants.get(name, Privilege.NONE)
            | (self.everywhere if name != _INTERNAL else Privilege.NONE)
            for name in databases
        }
        return {name: privilege for name, privilege in found.items() if privilege}
