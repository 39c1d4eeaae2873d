"""Defines `Statement`, the union of the dataclasses of all InfluxQL statements.

Each dataclass is frozen, and its fields have names from InfluxQL's syntax. `str(statement)` is
InfluxQL as InfluxDB 1.x prints it in errors and warnings: keywords in capitals, names quoted only
where necessary, passwords as `[REDACTED]`. This text is therefore safe to log. The original text is
unsafe to log, because it may hold a password.
"""

from headgate_grammar.ast.cardinality import (
    ShowFieldKeyCardinality,
    ShowMeasurementCardinality,
    ShowSeriesCardinality,
    ShowTagKeyCardinality,
    ShowTagValuesCardinality,
)
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
from headgate_grammar.ast.select import (
    CreateContinuousQuery,
    Explain,
    Select,
)
from headgate_grammar.ast.series import (
    Delete,
    DropMeasurement,
    DropSeries,
    ShowFieldKeys,
    ShowMeasurements,
    ShowSeries,
    ShowTagKeys,
    ShowTagValues,
)
from headgate_grammar.ast.users import (
    CreateUser,
    DropUser,
    Grant,
    GrantAdmin,
    Revoke,
    RevokeAdmin,
    SetPassword,
    ShowGrants,
    ShowUsers,
)

Statement = (
    CreateUser
    | DropUser
    | SetPassword
    | Grant
    | Revoke
    | GrantAdmin
    | RevokeAdmin
    | ShowUsers
    | ShowGrants
    | CreateDatabase
    | DropDatabase
    | ShowDatabases
    | CreateRetentionPolicy
    | AlterRetentionPolicy
    | DropRetentionPolicy
    | ShowRetentionPolicies
    | DropContinuousQuery
    | ShowContinuousQueries
    | CreateSubscription
    | DropSubscription
    | ShowSubscriptions
    | DropShard
    | ShowShards
    | ShowShardGroups
    | KillQuery
    | ShowQueries
    | ShowStats
    | ShowDiagnostics
    | Select
    | Explain
    | CreateContinuousQuery
    | Delete
    | DropSeries
    | DropMeasurement
    | ShowMeasurements
    | ShowSeries
    | ShowFieldKeys
    | ShowTagKeys
    | ShowTagValues
    | ShowSeriesCardinality
    | ShowMeasurementCardinality
    | ShowFieldKeyCardinality
    | ShowTagKeyCardinality
    | ShowTagValuesCardinality
)
