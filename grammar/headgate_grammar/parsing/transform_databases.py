"""Builds statements about databases, retention policies and the server from parsed InfluxQL.

Each method builds the result of the grammar rule with the same name.
"""

from dataclasses import dataclass
from typing import Any

from lark import Token, Transformer

from headgate_grammar.ast.databases import (
    AlterRetentionPolicy,
    CreateDatabase,
    CreateRetentionPolicy,
    CreateSubscription,
    DropContinuousQuery,
    DropDatabase,
    DropRetentionPolicy,
    DropShard,
    DropSubscription,
    KillQuery,
    PolicyOptions,
    ShowContinuousQueries,
    ShowDatabases,
    ShowDiagnostics,
    ShowQueries,
    ShowRetentionPolicies,
    ShowShardGroups,
    ShowShards,
    ShowStats,
    ShowSubscriptions,
)
from headgate_grammar.parsing import literals
from headgate_grammar.parsing.inline import inline
from headgate_grammar.parsing.literals import BadValue


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a retention policy: the dataclass *field* that it sets, and the *value*.

    *keyword* is the token that begins the option, or None for the option NAME.
    """

    field: str
    value: int | str | bool
    keyword: Token | None = None


@inline
class DatabaseRules(Transformer[Token, object]):
    """Lark's transformer for statements about databases and the server."""

    def create_database(self, name: Token, policy: PolicyOptions | None) -> CreateDatabase:
        """Returns the statement `CREATE DATABASE`."""
        # `WITH NAME ""` has no effect, and would be printed as a WITH without options.
        return CreateDatabase(name.value, policy if policy != PolicyOptions() else None)

    def drop_database(self, name: Token) -> DropDatabase:
        """Returns the statement `DROP DATABASE`."""
        return DropDatabase(name.value)

    def show_databases(self) -> ShowDatabases:
        """Returns the statement `SHOW DATABASES`."""
        return ShowDatabases()

    # ---- retention policies

    def policy_options(self, *options: Option | None) -> PolicyOptions:
        """Returns the options of `CREATE DATABASE .. WITH`; None stands for a missing option."""
        return PolicyOptions(**_fields(*options))

    def duration(self, keyword: Token, span: Token | int) -> Option:
        """Returns the option DURATION of a retention policy: the time for which data is kept."""
        return Option("duration", _span(span), keyword)

    def replication(self, keyword: Token, count: Token) -> Option:
        """Returns the option REPLICATION of a retention policy: the number of copies."""
        return Option("replication", literals.replication(count), keyword)

    def shard_duration(self, keyword: Token, span: Token | int) -> Option:
        """Returns the option SHARD DURATION of a retention policy: the time span of one shard."""
        return Option("shard_duration", _span(span), keyword)

    def limited_shard_duration(self, keyword: Token, span: Token) -> Option:
        """Returns the option SHARD DURATION of `CREATE` or `ALTER RETENTION POLICY`.

        Raises BadValue for INF, which only `CREATE DATABASE` accepts here.
        """
        if span.type == "INF":
            raise BadValue("invalid duration INF for shard duration", span)
        return Option("shard_duration", _span(span), keyword)

    def future_limit(self, keyword: Token, span: Token | int) -> Option:
        """Returns the option FUTURE LIMIT: how far in the future a point may be (1.12)."""
        return Option("future_limit", _span(span), keyword)

    def past_limit(self, keyword: Token, span: Token | int) -> Option:
        """Returns the option PAST LIMIT: how far in the past a point may be (1.12)."""
        return Option("past_limit", _span(span), keyword)

    def policy_name(self, name: Token) -> Option:
        """Returns the option NAME of `CREATE DATABASE .. WITH`: the name of the policy."""
        return Option("name", name.value)

    def default(self, keyword: Token) -> Option:
        """Returns the option DEFAULT, which makes a policy the default of its database."""
        return Option("default", True, keyword)

    def default_policy(self) -> str:
        """Returns "default", the name of the policy in `ALTER RETENTION POLICY DEFAULT`."""
        return "default"

    def infinite(self) -> int:
        """Returns 0, the duration that stands for INF."""
        return 0

    def create_retention_policy(
        self, name: Token, database: Token, *options: Option | None
    ) -> CreateRetentionPolicy:
        """Returns the statement `CREATE RETENTION POLICY`."""
        return CreateRetentionPolicy(name.value, database.value, **_fields(*options))

    def alter_retention_policy(
        self, name: Token | str, database: Token, *options: Option
    ) -> AlterRetentionPolicy:
        """Returns the statement `ALTER RETENTION POLICY`. Raises BadValue for a repeated option."""
        seen: set[str] = set()
        for option in options:
            if option.field in seen and option.keyword is not None:
                raise BadValue(f"found duplicate {option.keyword.type} option", option.keyword)
            seen.add(option.field)
        return AlterRetentionPolicy(str(name), database.value, **_fields(*options))

    def drop_retention_policy(self, name: Token, database: Token) -> DropRetentionPolicy:
        """Returns the statement `DROP RETENTION POLICY`."""
        return DropRetentionPolicy(name.value, database.value)

    def show_retention_policies(self, database: str) -> ShowRetentionPolicies:
        """Returns the statement `SHOW RETENTION POLICIES`."""
        return ShowRetentionPolicies(database)

    # ---- continuous queries, subscriptions, and what runs on a server

    def drop_continuous_query(self, name: Token, database: Token) -> DropContinuousQuery:
        """Returns the statement `DROP CONTINUOUS QUERY`."""
        return DropContinuousQuery(name.value, database.value)

    def show_continuous_queries(self) -> ShowContinuousQueries:
        """Returns the statement `SHOW CONTINUOUS QUERIES`."""
        return ShowContinuousQueries()

    def create_subscription(
        self, name: Token, database: Token, dot: Token, policy: Token, mode: Token, *to: Token
    ) -> CreateSubscription:
        """Returns the statement `CREATE SUBSCRIPTION`."""
        destinations = tuple(token.value for token in to)
        return CreateSubscription(name.value, database.value, policy.value, mode.type, destinations)

    def drop_subscription(
        self, name: Token, database: Token, dot: Token, policy: Token
    ) -> DropSubscription:
        """Returns the statement `DROP SUBSCRIPTION`."""
        return DropSubscription(name.value, database.value, policy.value)

    def show_subscriptions(self) -> ShowSubscriptions:
        """Returns the statement `SHOW SUBSCRIPTIONS`."""
        return ShowSubscriptions()

    def drop_shard(self, id: Token) -> DropShard:
        """Returns the statement `DROP SHARD`."""
        return DropShard(literals.object_id(id))

    def show_shards(self) -> ShowShards:
        """Returns the statement `SHOW SHARDS`."""
        return ShowShards()

    def show_shard_groups(self) -> ShowShardGroups:
        """Returns the statement `SHOW SHARD GROUPS`."""
        return ShowShardGroups()

    def kill_query(self, id: Token, host: Token | None) -> KillQuery:
        """Returns the statement `KILL QUERY`."""
        return KillQuery(literals.object_id(id), host.value if host is not None else "")

    def show_queries(self) -> ShowQueries:
        """Returns the statement `SHOW QUERIES`."""
        return ShowQueries()

    def show_stats(self, module: Token | None) -> ShowStats:
        """Returns the statement `SHOW STATS`."""
        return ShowStats(module.value if module is not None else "")

    def show_diagnostics(self, module: Token | None) -> ShowDiagnostics:
        """Returns the statement `SHOW DIAGNOSTICS`."""
        return ShowDiagnostics(module.value if module is not None else "")


def _span(span: Token | int) -> int:
    return literals.nanoseconds(span) if isinstance(span, Token) else span


def _fields(*options: Option | None) -> dict[str, Any]:
    """Returns the values of *options* as keyword arguments for a statement's dataclass.

    Each key is the name of a field. A missing option (None) is skipped.
    """
    return {option.field: option.value for option in options if option is not None}
