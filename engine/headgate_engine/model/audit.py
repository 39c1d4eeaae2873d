"""Records of the audit log: changes of a user store, and denied attempts."""

from dataclasses import dataclass

# The outcome in the audit record of a change that an upstream store makes. The record's revision
# is 0.
FORWARDED = "forwarded upstream"


@dataclass(frozen=True, slots=True)
class Audit:
    """The author of a change, the author's address and the statement, for the audit log.

    The statement is canonical InfluxQL without secrets.
    """

    actor: str
    address: str
    statement: str


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """A record of the audit log: one change, or equal denied attempts.

    A change of the store and its record are written in one transaction. *id* increases from
    record to record. *revision* is the revision that the change made; it is 0 for a denied attempt
    and for a change sent to an upstream store. *time* is RFC 3339, UTC. *outcome* is `ok`,
    FORWARDED, or the reason of the denial. *count* is the number of equal denied attempts within
    about a second.
    """

    id: int
    revision: int
    time: str
    actor: str
    address: str
    statement: str
    outcome: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class DeniedAttempt:
    """A login, query or statement that was denied *count* times since *time*.

    *actor* is "" if no user has the name in the request. *outcome* is the reason of the denial.
    """

    time: str
    actor: str
    address: str
    statement: str
    outcome: str
    count: int = 1
