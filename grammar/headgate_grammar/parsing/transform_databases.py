"""Statements about databases and the server from their rules: one method per rule."""

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
    """One option of a retention policy: the field it fills, and the keyword that began it."""

    field: str
    value: int | str | bool
    keyword: Token | None = None


@inline
class DatabaseRules(Transformer[Token, object]):
    def create_database(self, name: Token, policy: PolicyOptions | None) -> CreateDatabase:
        # `WITH NAME ""` says nothing, and printed it would be a WITH with nothing behind it.
        return CreateDatabase(name.value, policy if policy != PolicyOptions() else None)

    def drop_database(self, name: Token) -> DropDatabase:
        return DropDatabase(name.value)

    def show_databases(self) -> ShowDatabases:
        return ShowDatabases()

    # ---- retention policies

    def policy_options(self, *options: Option | None) -> PolicyOptions:
        return PolicyOptions(**_fields(*options))

    def duration(self, keyword: Token, span: Token | int) -> Option:
        return Option("duration", _span(span), keyword)

    def replication(self, keyword: Token, count: Token) -> Option:
        return Option("replication", literals.replication(count), keyword)

    def shard_duration(self, keyword: Token, span: Token | int) -> Option:
        return Option("shard_duration", _span(span), keyword)

    def limited_shard_duration(self, keyword: Token, span: Token) -> Option:
        if span.type == "INF":
            raise BadValue("invalid duration INF for shard duration", span)
        return Option("shard_duration", _span(span), keyword)

    def policy_name(self, name: Token) -> Option:
        return Option("name", name.value)

    def default(self, keyword: Token) -> Option:
        return Option("default", True, keyword)

    def default_policy(self) -> str:
        return "default"

    def infinite(self) -> int:
        return 0

    def create_retention_policy(
        self, name: Token, database: Token, *options: Option | None
    ) -> CreateRetentionPolicy:
        return CreateRetentionPolicy(name.value, database.value, **_fields(*options))

    def alter_retention_policy(
        self, name: Token | str, database: Token, *options: Option
    ) -> AlterRetentionPolicy:
        seen: set[str] = set()
        for option in options:
            if option.field in seen and option.keyword is not None:
                raise BadValue(f"found duplicate {option.keyword.type} option", option.keyword)
            seen.add(option.field)
        return AlterRetentionPolicy(str(name), database.value, **_fields(*options))

    def drop_retention_policy(self, name: Token, database: Token) -> DropRetentionPolicy:
        return DropRetentionPolicy(name.value, database.value)

    def show_retention_policies(self, database: str) -> ShowRetentionPolicies:
        return ShowRetentionPolicies(database)

    # ---- continuous queries, subscriptions, and what runs on a server

    def drop_continuous_query(self, name: Token, database: Token) -> DropContinuousQuery:
        return DropContinuousQuery(name.value, database.value)

    def show_continuous_queries(self) -> ShowContinuousQueries:
        return ShowContinuousQueries()

    def create_subscription(
        self, name: Token, database: Token, dot: Token, policy: Token, mode: Token, *to: Token
    ) -> CreateSubscription:
        destinations = tuple(token.value for token in to)
        return CreateSubscription(name.value, database.value, policy.value, mode.type, destinations)

    def drop_subscription(
        self, name: Token, database: Token, dot: Token, policy: Token
    ) -> DropSubscription:
        return DropSubscription(name.value, database.value, policy.value)

    def show_subscriptions(self) -> ShowSubscriptions:
        return ShowSubscriptions()

    def drop_shard(self, id: Token) -> DropShard:
        return DropShard(literals.identity(id))

    def show_shards(self) -> ShowShards:
        return ShowShards()

    def show_shard_groups(self) -> ShowShardGroups:
        return ShowShardGroups()

    def kill_query(self, id: Token, host: Token | None) -> KillQuery:
        return KillQuery(literals.identity(id), host.value if host is not None else "")

    def show_queries(self) -> ShowQueries:
        return ShowQueries()

    def show_stats(self, module: Token | None) -> ShowStats:
        return ShowStats(module.value if module is not None else "")

    def show_diagnostics(self, module: Token | None) -> ShowDiagnostics:
        return ShowDiagnostics(module.value if module is not None else "")


def _span(span: Token | int) -> int:
    return literals.nanoseconds(span) if isinstance(span, Token) else span


def _fields(*options: Option | None) -> dict[str, Any]:
    """What *options* say, by field; each has the type of its own field."""
    return {option.field: option.value for option in options if option is not None}
