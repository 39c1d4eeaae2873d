"""InfluxQL text and statements. Imports nothing of Headgate: no users, no store, no HTTP."""

from headgate_grammar.cache import ParseCache
from headgate_grammar.cardinality import (
    ShowFieldKeyCardinality,
    ShowMeasurementCardinality,
    ShowSeriesCardinality,
    ShowTagKeyCardinality,
    ShowTagValuesCardinality,
)
from headgate_grammar.clauses import Limits, SortField
from headgate_grammar.databases import (
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
from headgate_grammar.durations import format_duration, go_duration, parse_duration
from headgate_grammar.errors import ParseError
from headgate_grammar.expressions import Expression, Operation, Paren, VarRef
from headgate_grammar.highlight import Piece, pieces
from headgate_grammar.keywords import is_keyword
from headgate_grammar.meter import Bounds
from headgate_grammar.parser import Accepted, accepts, parse
from headgate_grammar.privilege import Privilege
from headgate_grammar.quoting import quote_identifier, quote_string
from headgate_grammar.redact import redact
from headgate_grammar.select import (
    CreateContinuousQuery,
    Explain,
    Select,
)
from headgate_grammar.series import (
    Delete,
    DropMeasurement,
    DropSeries,
    ShowFieldKeys,
    ShowMeasurements,
    ShowSeries,
    ShowTagKeys,
    ShowTagValues,
)
from headgate_grammar.sources import Measurement, Source, Subquery, Target, databases
from headgate_grammar.statements import Statement
from headgate_grammar.unparse import UnparseError, has_secret, unparse
from headgate_grammar.urls import redact_urls
from headgate_grammar.users import (
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

__all__ = [
    "Accepted",
    "AlterRetentionPolicy",
    "Bounds",
    "CreateContinuousQuery",
    "CreateDatabase",
    "CreateRetentionPolicy",
    "CreateSubscription",
    "CreateUser",
    "Delete",
    "DropContinuousQuery",
    "DropDatabase",
    "DropMeasurement",
    "DropRetentionPolicy",
    "DropSeries",
    "DropShard",
    "DropSubscription",
    "DropUser",
    "Explain",
    "Expression",
    "Grant",
    "GrantAdmin",
    "KillQuery",
    "Limits",
    "Measurement",
    "Operation",
    "Paren",
    "ParseCache",
    "ParseError",
    "Piece",
    "PolicyOptions",
    "Privilege",
    "Revoke",
    "RevokeAdmin",
    "Select",
    "SetPassword",
    "ShowContinuousQueries",
    "ShowDatabases",
    "ShowDiagnostics",
    "ShowFieldKeyCardinality",
    "ShowFieldKeys",
    "ShowGrants",
    "ShowMeasurementCardinality",
    "ShowMeasurements",
    "ShowQueries",
    "ShowRetentionPolicies",
    "ShowSeries",
    "ShowSeriesCardinality",
    "ShowShardGroups",
    "ShowShards",
    "ShowStats",
    "ShowSubscriptions",
    "ShowTagKeyCardinality",
    "ShowTagKeys",
    "ShowTagValues",
    "ShowTagValuesCardinality",
    "ShowUsers",
    "SortField",
    "Source",
    "Statement",
    "Subquery",
    "Target",
    "UnparseError",
    "VarRef",
    "accepts",
    "databases",
    "format_duration",
    "go_duration",
    "has_secret",
    "is_keyword",
    "parse",
    "parse_duration",
    "pieces",
    "quote_identifier",
    "quote_string",
    "redact",
    "redact_urls",
    "unparse",
]
