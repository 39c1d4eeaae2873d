"""Authenticates users, authorizes InfluxQL statements and executes those about users and grants."""

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
    OutcomeUnknown,
    PolicyError,
    SignUpDisabled,
    StatementError,
    StoreError,
    StoreUnavailable,
    UserExists,
    UsernameRequired,
    UsernameTooLong,
    UserNotFound,
)
from headgate_engine.generational_cache import GenerationalCache
from headgate_engine.model.database import Database
from headgate_engine.model.result import Result, Series, Value
from headgate_engine.model.retention_policy import RetentionPolicy
from headgate_engine.model.token_rights import TokenRights
from headgate_engine.model.user import ANONYMOUS, UNRESTRICTED, Account, Identity, Principal, User
from headgate_engine.passwords import BCRYPT_COST, MIN_PASSWORD_LENGTH, Passwords, password_version
from headgate_engine.provisioning import LinkPolicy
from headgate_engine.required_privileges import (
    ADMIN,
    RequiredPrivilege,
    allows,
    is_read_only,
    is_write,
    required_privileges,
)
from headgate_engine.stores.audit_file import AuditFile, json_line
from headgate_engine.stores.base import (
    FORWARDED,
    Audit,
    AuditRecord,
    Change,
    DeniedAttempt,
    KnownLogin,
    Snapshot,
    Store,
    Table,
    Tx,
)
from headgate_engine.stores.group_commit import PendingTransaction
from headgate_engine.stores.memory import MemoryStore
from headgate_engine.stores.sqlite.open_check import try_store
from headgate_engine.stores.sqlite.restore import accept_rollback, restore
from headgate_engine.stores.sqlite.store import SqliteStore

__all__ = [
    "ADMIN",
    "AccessDenied",
    "Account",
    "AdminRequiredFirst",
    "LinkPolicy",
    "Audit",
    "AuditFile",
    "AuditRecord",
    "AuthenticationFailed",
    "BCRYPT_COST",
    "BadPassword",
    "Change",
    "Database",
    "DatabaseNotFound",
    "UNRESTRICTED",
    "Engine",
    "EngineError",
    "FORWARDED",
    "Identity",
    "IdentityDropped",
    "IdentityTaken",
    "InvalidName",
    "PendingTransaction",
    "KnownLogin",
    "Snapshot",
    "LastAdmin",
    "MemoryStore",
    "ANONYMOUS",
    "NameTooLong",
    "RequiredPrivilege",
    "NoUpstream",
    "NotAuthorized",
    "Passwords",
    "PolicyError",
    "Principal",
    "GenerationalCache",
    "DeniedAttempt",
    "Result",
    "RetentionPolicy",
    "TokenRights",
    "Series",
    "SignUpDisabled",
    "SqliteStore",
    "StatementError",
    "Store",
    "Table",
    "StoreError",
    "Tx",
    "StoreUnavailable",
    "OutcomeUnknown",
    "User",
    "UserExists",
    "UserNotFound",
    "UsernameRequired",
    "UsernameTooLong",
    "Value",
    "accept_rollback",
    "allows",
    "is_write",
    "json_line",
    "password_version",
    "required_privileges",
    "is_read_only",
    "restore",
    "try_store",
    "KEEP_LAST_ADMIN",
    "MIN_PASSWORD_LENGTH",
]
