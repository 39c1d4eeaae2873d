"""Parses, prints, completes, highlights and redacts InfluxQL. Imports no other Headgate package."""

from headgate_grammar.ast.cardinality import (
    ShowFieldKeyCardinality,
    ShowMeasurementCardinality,
    ShowSeriesCardinality,
    ShowTagKeyCardinality,
    ShowTagValuesCardinality,
)
from headgate_grammar.ast.clauses import Limits, SortField
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
from headgate_grammar.ast.expressions import Expression, Operation, Paren, VarRef
from headgate_grammar.ast.privilege import Privilege
from headgate_grammar.ast.select import (
    CreateContinuousQuery,
    Explain,
    Select,
    Source,
    Subquery,
    databases,
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
from headgate_grammar.ast.sources import Measurement, Target
from headgate_grammar.ast.statements import Statement
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
from headgate_grammar.generational_cache import GenerationalCache
from headgate_grammar.parsing.cache import ParseCache
from headgate_grammar.parsing.dialects import DIALECTS, Dialect
from headgate_grammar.parsing.errors import ParseError
from headgate_grammar.parsing.limits import ParseLimits
from headgate_grammar.parsing.parser import Completions, completions, parse
from headgate_grammar.parsing.unparse import UnparseError, has_secret, unparse
from headgate_grammar.text.durations import format_duration, go_duration, parse_duration
from headgate_grammar.text.keywords import is_keyword
from headgate_grammar.text.quoting import quote_identifier, quote_string
from headgate_grammar.text.redaction import REDACTED, redact_destination, redact_urls
from headgate_grammar.tools.highlight import Span, highlight
from headgate_grammar.tools.redact import redact
from headgate_grammar.tools.syntax import statement_syntax

__all__ = [
    "statement_syntax",
    "DIALECTS",
    "Dialect",
    "REDACTED",
    "Completions",
    "AlterRetentionPolicy",
    "ParseLimits",
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
    "GenerationalCache",
    "Grant",
    "GrantAdmin",
    "KillQuery",
    "Limits",
    "Measurement",
    "Operation",
    "Paren",
    "ParseCache",
    "ParseError",
    "Span",
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
    "completions",
    "databases",
    "format_duration",
    "go_duration",
    "has_secret",
    "is_keyword",
    "parse",
    "parse_duration",
    "highlight",
    "quote_identifier",
    "quote_string",
    "redact",
    "redact_destination",
    "redact_urls",
    "unparse",
]
