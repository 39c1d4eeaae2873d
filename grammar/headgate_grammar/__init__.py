"""InfluxQL text and statements. Imports nothing of Headgate: no users, no store, no HTTP."""

from headgate_grammar.cache import ParseCache
from headgate_grammar.durations import go_duration
from headgate_grammar.errors import ParseError
from headgate_grammar.parser import parse
from headgate_grammar.privilege import Privilege
from headgate_grammar.quoting import quote_identifier
from headgate_grammar.redact import redact
from headgate_grammar.statements import (
    CreateDatabase,
    CreateUser,
    DropDatabase,
    DropUser,
    Grant,
    GrantAdmin,
    PolicyOptions,
    Revoke,
    RevokeAdmin,
    SetPassword,
    ShowDatabases,
    ShowGrants,
    ShowUsers,
    Statement,
)

__all__ = [
    "CreateDatabase",
    "CreateUser",
    "DropDatabase",
    "DropUser",
    "Grant",
    "GrantAdmin",
    "ParseCache",
    "ParseError",
    "PolicyOptions",
    "Privilege",
    "Revoke",
    "RevokeAdmin",
    "SetPassword",
    "ShowDatabases",
    "ShowGrants",
    "ShowUsers",
    "Statement",
    "go_duration",
    "parse",
    "quote_identifier",
    "redact",
]
