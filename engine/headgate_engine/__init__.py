"""Authenticates users, authorizes InfluxQL statements and executes those about users and grants."""

from headgate_engine.async_engine import AsyncEngine
from headgate_engine.declared_state import (
    DeclaredDatabase,
    DeclaredState,
    DeclaredUser,
    PlannedChange,
    apply_changes,
    check_database,
    check_user,
    plan_changes,
)
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
from headgate_engine.explanation import Explanation, explain
from headgate_engine.model.audit import FORWARDED, Audit, AuditRecord, DeniedAttempt
from headgate_engine.model.database import Database
from headgate_engine.model.result import Result, Results, Series, Value
from headgate_engine.model.retention_policy import RetentionPolicy, retention_policy
from headgate_engine.model.token_rights import TokenRights
from headgate_engine.model.user import ANONYMOUS, UNRESTRICTED, Account, Identity, Principal, User
from headgate_engine.passwords import BCRYPT_COST, MIN_PASSWORD_LENGTH, Passwords, password_version
from headgate_engine.provisioning import LinkPolicy
from headgate_engine.required_privileges import (
    ADMIN,
    RequiredPrivilege,
    allows,
    covers,
    is_read_only,
    is_write,
    required_privileges,
)
from headgate_engine.stores.audit_file import AuditFile, json_line
from headgate_engine.stores.base import Change, KnownLogin, Snapshot, Store, Table, Tx
from headgate_engine.stores.group_commit import PendingTransaction
from headgate_engine.stores.memory import MemoryStore
from headgate_engine.stores.sqlite.open_check import has_users, try_store
from headgate_engine.stores.sqlite.restore import accept_rollback, restore
from headgate_engine.stores.sqlite.store import SqliteStore

__all__ = [
    "ADMIN",
    "AccessDenied",
    "Account",
    "AdminRequiredFirst",
    "AsyncEngine",
    "LinkPolicy",
    "Audit",
    "AuditFile",
    "AuditRecord",
    "AuthenticationFailed",
    "BCRYPT_COST",
    "BadPassword",
    "Change",
    "Database",
    "DeclaredDatabase",
    "DeclaredState",
    "DeclaredUser",
    "PlannedChange",
    "apply_changes",
    "check_database",
    "check_user",
    "plan_changes",
    "DatabaseNotFound",
    "UNRESTRICTED",
    "Engine",
    "EngineError",
    "Explanation",
    "FORWARDED",
    "explain",
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
    "DeniedAttempt",
    "Result",
    "Results",
    "RetentionPolicy",
    "retention_policy",
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
    "covers",
    "is_write",
    "json_line",
    "password_version",
    "required_privileges",
    "has_users",
    "is_read_only",
    "restore",
    "try_store",
    "KEEP_LAST_ADMIN",
    "MIN_PASSWORD_LENGTH",
]
