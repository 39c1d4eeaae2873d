"""All that a user store holds, by which a store of one kind is copied into one of another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from headgate_engine.model.audit import AuditRecord
from headgate_engine.stores.shared.records import Record


@dataclass(frozen=True, slots=True)
class Contents:
    """The *records* by key, as a shared store has them, and the *audit* in order of its ids.

    *audit* may have its newest record only. *revision* is the newest one. *last_audit* and
    *last_id* are the greatest ids that were given.
    """

    revision: int
    last_audit: int
    last_id: int
    records: Mapping[str, Record] = field(repr=False)
    audit: Sequence[AuditRecord] = field(repr=False)

    def count(self, prefix: str) -> int:
        """Returns the number of the records whose keys begin with *prefix*, such as `u/`."""
        return sum(key.startswith(prefix) for key in self.records)
