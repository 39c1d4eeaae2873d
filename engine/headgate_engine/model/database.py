"""A database in the user store's list of databases, and InfluxDB's rules for database names."""

from dataclasses import dataclass

from headgate_engine.errors import InvalidName, NameTooLong
from headgate_engine.model.retention_policy import RetentionPolicy

_MAX_NAME_BYTES = 255


@dataclass(frozen=True, slots=True)
class Database:
    """A snapshot of a database in the user store, with its retention policies.

    *policies* are in order of creation. *default_policy* is the name of one of them, or of a policy
    that was dropped. *id* is never reused, so that grants on a dropped database never apply to a
    later database. *exclusive_stores* are the upstream stores that had no data of this name when
    the database was created.
    """

    id: str
    name: str
    policies: tuple[RetentionPolicy, ...]
    default_policy: str
    exclusive_stores: frozenset[str] = frozenset()

    def policy(self, name: str) -> RetentionPolicy | None:
        """Returns the retention policy *name*, or None."""
        return next((policy for policy in self.policies if policy.name == name), None)


def check_name(name: str) -> None:
    """Raises InvalidName or NameTooLong if InfluxDB rejects *name* for a database or policy.

    The rules are those of the function `meta.ValidName` in InfluxDB 1.8.
    """
    if name in ("", ".", "..") or "/" in name or "\\" in name or not _printable(name):
        raise InvalidName
    if len(name.encode()) > _MAX_NAME_BYTES:
        raise NameTooLong


def _printable(name: str) -> bool:
    # Go's unicode.IsPrint and Python's isprintable agree: letters, marks, numbers, punctuation,
    # symbols and the ASCII blank.
    return name.isprintable()
