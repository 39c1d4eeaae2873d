"""Users, databases, grants: who someone is, and what he may do. Imports the grammar."""

from headgate_engine.auditfile import AuditFile, json_line
from headgate_engine.database import Database
from headgate_engine.engine import KEEP_LAST_ADMIN, Engine
from headgate_engine.errors import (
    AccessDenied,
    AdminRequiredFirst,
    AuthenticationFailed,
    BadPassword,
    DatabaseNotFound,
    EngineError,
    IdentityDropped,
    IdentityTaken,
    InvalidName,
    LastAdmin,
    NameTooLong,
    NotAuthorized,
    NoUpstream,
    PolicyError,
    SignUpDisabled,
    StatementError,
    StoreError,
    Unavailable,
    Unknown,
    UserExists,
    UsernameRequired,
    UsernameTooLong,
    UserNotFound,
)
from headgate_engine.identity import Adopt
from headgate_engine.memory import MemoryStore
from headgate_engine.needs import ADMIN, Need, allows, changes, needs, reads
from headgate_engine.passwords import BCRYPT_COST, MIN_PASSWORD_LENGTH, Passwords, mark
from headgate_engine.recent import Recent
from headgate_engine.restore import accept_rollback, restore
from headgate_engine.result import Result, Series, Value
from headgate_engine.retention import RetentionPolicy
from headgate_engine.rights import Rights
from headgate_engine.sqlite import SqliteStore
from headgate_engine.store import (
    FORWARDED,
    Audit,
    AuditRecord,
    Change,
    KnownLogin,
    Moment,
    Refused,
    Store,
    Tx,
)
from headgate_engine.together import Job
from headgate_engine.trystore import try_store
from headgate_engine.user import EVERYBODY, NOBODY, Account, Identity, Principal, User

__all__ = [
    "ADMIN",
    "AccessDenied",
    "Account",
    "AdminRequiredFirst",
    "Adopt",
    "Audit",
    "AuditFile",
    "AuditRecord",
    "AuthenticationFailed",
    "BCRYPT_COST",
    "BadPassword",
    "Change",
    "Database",
    "DatabaseNotFound",
    "EVERYBODY",
    "Engine",
    "EngineError",
    "FORWARDED",
    "Identity",
    "IdentityDropped",
    "IdentityTaken",
    "InvalidName",
    "Job",
    "KnownLogin",
    "Moment",
    "LastAdmin",
    "MemoryStore",
    "NOBODY",
    "NameTooLong",
    "Need",
    "NoUpstream",
    "NotAuthorized",
    "Passwords",
    "PolicyError",
    "Principal",
    "Recent",
    "Refused",
    "Result",
    "RetentionPolicy",
    "Rights",
    "Series",
    "SignUpDisabled",
    "SqliteStore",
    "StatementError",
    "Store",
    "StoreError",
    "Tx",
    "Unavailable",
    "Unknown",
    "User",
    "UserExists",
    "UserNotFound",
    "UsernameRequired",
    "UsernameTooLong",
    "Value",
    "accept_rollback",
    "allows",
    "changes",
    "json_line",
    "mark",
    "needs",
    "reads",
    "restore",
    "try_store",
    "KEEP_LAST_ADMIN",
    "MIN_PASSWORD_LENGTH",
]
