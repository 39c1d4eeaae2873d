"""Users, databases and grants: authentication, authorization, execution. Imports the grammar."""

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
from headgate_engine.generational_cache import Recent
from headgate_engine.model.database import Database
from headgate_engine.model.result import Result, Series, Value
from headgate_engine.model.retention_policy import RetentionPolicy
from headgate_engine.model.token_rights import Rights
from headgate_engine.model.user import EVERYBODY, NOBODY, Account, Identity, Principal, User
from headgate_engine.passwords import BCRYPT_COST, MIN_PASSWORD_LENGTH, Passwords, mark
from headgate_engine.provisioning import Adopt
from headgate_engine.required_privileges import ADMIN, Need, allows, changes, needs, reads
from headgate_engine.stores.audit_file import AuditFile, json_line
from headgate_engine.stores.base import (
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
from headgate_engine.stores.group_commit import Job
from headgate_engine.stores.memory import MemoryStore
from headgate_engine.stores.sqlite.open_check import try_store
from headgate_engine.stores.sqlite.restore import accept_rollback, restore
from headgate_engine.stores.sqlite.store import SqliteStore

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
