"""Statements about databases, retention policies, subscriptions and the server."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from headgate_grammar.text.durations import format_duration, go_duration
from headgate_grammar.text.quoting import quote_identifier as name_of
from headgate_grammar.text.quoting import quote_string
from headgate_grammar.text.redaction import redact_destination


@dataclass(frozen=True, slots=True)
class PolicyOptions:
    """The options after WITH in CREATE DATABASE, for the first retention policy of the database.

    Durations are in nanoseconds; a *duration* of 0 stands for INF. If an option is missing,
    *duration* or *replication* is None, *shard_duration* or a limit is 0, and *name* is "". The
    limits are those of FUTURE LIMIT and PAST LIMIT (1.12).
    """

    duration: int | None = None
    replication: int | None = None
    shard_duration: int = 0
    name: str = ""
    future_limit: int = 0
    past_limit: int = 0

    def __str__(self) -> str:
        words = ["WITH"]
        if self.duration is not None:
            words.append(f"DURATION {go_duration(self.duration)}")
        if self.replication is not None:
            words.append(f"REPLICATION {self.replication}")
        if self.shard_duration:
            words.append(f"SHARD DURATION {go_duration(self.shard_duration)}")
        words += _limits(self.future_limit, self.past_limit)
        if self.name:
            words.append(f"NAME {name_of(self.name)}")
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class CreateDatabase:
    """The statement `CREATE DATABASE`."""

    name: str
    policy: PolicyOptions | None = None

    def __str__(self) -> str:
        tail = f" {self.policy}" if self.policy is not None else ""
        return f"CREATE DATABASE {name_of(self.name)}{tail}"


@dataclass(frozen=True, slots=True)
class DropDatabase:
    """The statement `DROP DATABASE`."""

    name: str

    def __str__(self) -> str:
        return f"DROP DATABASE {name_of(self.name)}"


@dataclass(frozen=True, slots=True)
class ShowDatabases:
    """The statement `SHOW DATABASES`."""

    def __str__(self) -> str:
        return "SHOW DATABASES"


@dataclass(frozen=True, slots=True)
class CreateRetentionPolicy:
    """The statement `CREATE RETENTION POLICY`.

    Durations are in nanoseconds. A *duration* of 0 stands for INF. A *shard_duration* of 0 stands
    for a missing SHARD DURATION, and a limit of 0 for a missing FUTURE LIMIT or PAST LIMIT.
    """

    name: str
    database: str
    duration: int
    replication: int
    shard_duration: int = 0
    default: bool = False
    future_limit: int = 0
    past_limit: int = 0

    def __str__(self) -> str:
        shard = self.shard_duration
        limits = _limits(self.future_limit, self.past_limit)
        return (
            f"CREATE RETENTION POLICY {name_of(self.name)} ON {name_of(self.database)}"
            f" DURATION {format_duration(self.duration)} REPLICATION {self.replication}"
            + (f" SHARD DURATION {format_duration(shard)}" if shard else "")
            + (" DEFAULT" if self.default else "")
            + "".join(f" {limit}" for limit in limits)
        )


@dataclass(frozen=True, slots=True)
class AlterRetentionPolicy:
    """The statement `ALTER RETENTION POLICY`.

    Durations are in nanoseconds; a *duration* of 0 stands for INF. A missing option is None, or
    False for *default*.
    """

    name: str
    database: str
    duration: int | None = None
    replication: int | None = None
    shard_duration: int | None = None
    default: bool = False
    future_limit: int | None = None
    past_limit: int | None = None

    def __str__(self) -> str:
        words = [f"ALTER RETENTION POLICY {name_of(self.name)} ON {name_of(self.database)}"]
        if self.duration is not None:
            words.append(f"DURATION {format_duration(self.duration)}")
        if self.replication is not None:
            words.append(f"REPLICATION {self.replication}")
        if self.shard_duration is not None:
            words.append(f"SHARD DURATION {format_duration(self.shard_duration)}")
        if self.default:
            words.append("DEFAULT")
        if self.future_limit is not None:
            words.append(f"FUTURE LIMIT {format_duration(self.future_limit)}")
        if self.past_limit is not None:
            words.append(f"PAST LIMIT {format_duration(self.past_limit)}")
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class DropRetentionPolicy:
    """The statement `DROP RETENTION POLICY`."""

    name: str
    database: str

    def __str__(self) -> str:
        return f"DROP RETENTION POLICY {name_of(self.name)} ON {name_of(self.database)}"


@dataclass(frozen=True, slots=True)
class ShowRetentionPolicies:
    """The statement `SHOW RETENTION POLICIES`; *database* is "" if the clause ON is missing."""

    database: str = ""

    def __str__(self) -> str:
        on = f" ON {name_of(self.database)}" if self.database else ""
        return f"SHOW RETENTION POLICIES{on}"


@dataclass(frozen=True, slots=True)
class DropContinuousQuery:
    """The statement `DROP CONTINUOUS QUERY`."""

    name: str
    database: str

    def __str__(self) -> str:
        return f"DROP CONTINUOUS QUERY {name_of(self.name)} ON {name_of(self.database)}"


@dataclass(frozen=True, slots=True)
class ShowContinuousQueries:
    """The statement `SHOW CONTINUOUS QUERIES`."""

    def __str__(self) -> str:
        return "SHOW CONTINUOUS QUERIES"


@dataclass(frozen=True, slots=True)
class CreateSubscription:
    """The statement `CREATE SUBSCRIPTION`.

    *mode* is ALL or ANY. Each destination is a URL. `str()` prints `[REDACTED]` in place of its
    login and its query string.
    """

    name: str
    database: str
    policy: str
    mode: str
    destinations: tuple[str, ...] = field(repr=False)

    def __str__(self) -> str:
        return self._text(map(redact_destination, self.destinations))

    def unredacted(self) -> str:
        """Returns the text of the statement with complete destinations, secrets included."""
        return self._text(self.destinations)

    def redacted(self, text: str) -> str:
        """Returns *text*, such as an error message, with this statement's destinations redacted."""
        for url in self.destinations:
            text = text.replace(url, redact_destination(url))
        return text

    def _text(self, destinations: Iterable[str]) -> str:
        where = f"{name_of(self.database)}.{name_of(self.policy)}"
        targets = ", ".join(map(quote_string, destinations))
        return (
            f"CREATE SUBSCRIPTION {name_of(self.name)} ON {where}"
            f" DESTINATIONS {self.mode} {targets}"
        )


@dataclass(frozen=True, slots=True)
class DropSubscription:
    """The statement `DROP SUBSCRIPTION`."""

    name: str
    database: str
    policy: str

    def __str__(self) -> str:
        where = f"{name_of(self.database)}.{name_of(self.policy)}"
        return f"DROP SUBSCRIPTION {name_of(self.name)} ON {where}"


@dataclass(frozen=True, slots=True)
class ShowSubscriptions:
    """The statement `SHOW SUBSCRIPTIONS`."""

    def __str__(self) -> str:
        return "SHOW SUBSCRIPTIONS"


@dataclass(frozen=True, slots=True)
class DropShard:
    """The statement `DROP SHARD`."""

    id: int

    def __str__(self) -> str:
        return f"DROP SHARD {self.id}"


@dataclass(frozen=True, slots=True)
class ShowShards:
    """The statement `SHOW SHARDS`."""

    def __str__(self) -> str:
        return "SHOW SHARDS"


@dataclass(frozen=True, slots=True)
class ShowShardGroups:
    """The statement `SHOW SHARD GROUPS`."""

    def __str__(self) -> str:
        return "SHOW SHARD GROUPS"


@dataclass(frozen=True, slots=True)
class KillQuery:
    """The statement `KILL QUERY`; *host* is "" if the clause ON is missing."""

    id: int
    host: str = ""

    def __str__(self) -> str:
        on = f" ON {name_of(self.host)}" if self.host else ""
        return f"KILL QUERY {self.id}{on}"


@dataclass(frozen=True, slots=True)
class ShowQueries:
    """The statement `SHOW QUERIES`."""

    def __str__(self) -> str:
        return "SHOW QUERIES"


@dataclass(frozen=True, slots=True)
class ShowStats:
    """The statement `SHOW STATS`; *module* is "" for all modules."""

    module: str = ""

    def __str__(self) -> str:
        return "SHOW STATS" + (f" FOR {quote_string(self.module)}" if self.module else "")


@dataclass(frozen=True, slots=True)
class ShowDiagnostics:
    """The statement `SHOW DIAGNOSTICS`; *module* is "" for all modules."""

    module: str = ""

    def __str__(self) -> str:
        return "SHOW DIAGNOSTICS" + (f" FOR {quote_string(self.module)}" if self.module else "")


def _limits(future: int, past: int) -> list[str]:
    """Returns the clauses FUTURE LIMIT and PAST LIMIT; 0 stands for a missing clause."""
    limits = (("FUTURE", future), ("PAST", past))
    return [f"{name} LIMIT {format_duration(span)}" for name, span in limits if span]
