"""The engine: authenticates users, authorizes InfluxQL and executes it on a user store."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from headgate_engine import changes
from headgate_engine.accounts.accounts import Accounts
from headgate_engine.accounts.api_keys import ApiKeys, Clock, KeyLimits
from headgate_engine.accounts.identities import Identities
from headgate_engine.accounts.imported_keys import ImportedKeys
from headgate_engine.accounts.provider_sessions import ProviderSessions
from headgate_engine.accounts.sessions import Sessions
from headgate_engine.administration import Administration
from headgate_engine.audit_entry import audit_entry
from headgate_engine.authentication import Authentication
from headgate_engine.authorization import check_allowed, creates_admin
from headgate_engine.errors import (
    AdminRequiredFirst,
    DatabaseRequired,
    NoUpstream,
    StatementError,
    UserExists,
    UserNotFound,
)
from headgate_engine.model.audit import Audit
from headgate_engine.model.principal import Principal
from headgate_engine.model.result import Result, Results, Series
from headgate_engine.model.session import SessionLimits
from headgate_engine.model.user import check_username
from headgate_engine.no_op import run_as_no_op
from headgate_engine.passwords import Passwords
from headgate_engine.queries import (
    show_databases,
    show_grants,
    show_retention_policies,
    show_users,
)
from headgate_engine.required_privileges import RequiredPrivilege, allows, required_privileges
from headgate_engine.statement_changes import statement_change
from headgate_engine.stores.base import PendingTransaction, Store, Tx
from headgate_engine.unsupported_sources import check_answerable
from headgate_grammar import (
    CreateUser,
    ParseCache,
    Privilege,
    SetPassword,
    ShowContinuousQueries,
    ShowDatabases,
    ShowGrants,
    ShowQueries,
    ShowRetentionPolicies,
    ShowUsers,
    Statement,
)

KEEP_LAST_ADMIN = True  # the default here and in the server's settings


class Engine(Authentication, Administration):
    """Executes InfluxQL about users, grants and databases on the user store *store*.

    With *keep_last_admin* the only administrator can be neither dropped nor demoted. Thread-safe.
    Methods block on the disk and on bcrypt, so async code must call them in threads. They raise
    StoreUnavailable if the store cannot be read. *passwords* hashes and verifies passwords, and
    *parse* parses InfluxQL; None means an instance with default settings. *clock* returns the Unix
    time by which API keys and sessions are judged. `api_keys`, `imported_keys`, `sessions`,
    `accounts` and `identities` are the accounts of the store. Without *external_passwords*, SET
    PASSWORD refuses users that have an identity and no password.
    """

    def __init__(
        self,
        store: Store,
        passwords: Passwords | None = None,
        parse: ParseCache | None = None,
        *,
        keep_last_admin: bool = KEEP_LAST_ADMIN,
        key_limits: KeyLimits | None = None,
        session_limits: SessionLimits | None = None,
        clock: Clock = time.time,
        external_passwords: bool = True,
    ) -> None:
        self.store = store
        self.api_keys = ApiKeys(store, key_limits, clock)
        self.sessions = Sessions(store, session_limits, clock)
        self.accounts = Accounts(store, keep_last_admin=keep_last_admin)
        self.identities = Identities(store)
        self.provider_sessions = ProviderSessions(store, self.sessions)
        self.external_passwords = external_passwords
        self.passwords = passwords or Passwords()
        self.imported_keys = ImportedKeys(store, self.passwords)
        self.parse = parse or ParseCache()
        self.keep_last_admin = keep_last_admin

    def authorize(
        self, principal: Principal, statements: Sequence[Statement], database: str = ""
    ) -> None:
        """Checks that *principal* may execute *statements*, with *database* as default database.

        Raises:
            NotAuthorized: a privilege is missing; the error names the first missing privilege.
            AdminRequiredFirst: *principal* has no user, and may not create the first administrator.
        """
        user = principal.user
        if principal.has_full_access:
            return
        if user is None:
            if not (statements and creates_admin(statements[0]) and self.store.empty()):
                raise AdminRequiredFirst
            return
        for statement in statements:
            check_allowed(user, statement, database, self.store)

    def authorizer(self, principal: Principal, database: str = "") -> Callable[[Statement], None]:
        """Returns a function that authorizes one statement of a query, as `authorize` does.

        Call that function for each statement of the query, in order.
        """
        user = principal.user
        if principal.has_full_access:
            return _allow
        if user is not None:
            return partial(check_allowed, user, database=database, store=self.store)
        first = True

        def authorize_first(statement: Statement) -> None:
            nonlocal first
            if first:
                self.authorize(principal, (statement,), database)
            first = False

        return authorize_first

    def allows(self, name: str, privilege: Privilege, database: str) -> bool:
        """Returns whether the user *name* has *privilege* on *database* now.

        A disabled user has none. Administrators always have it. Other users lack it if *database*
        does not exist. A call takes microseconds, however many users exist.
        """
        user = self.active_user(name)
        return user is not None and allows(user, RequiredPrivilege(privilege, database))

    def query(
        self,
        text: str,
        principal: Principal,
        database: str = "",
        address: str = "",
        *,
        params: Mapping[str, object] | None = None,
    ) -> Results:
        """Parses *text*, authorizes all its statements, then executes them up to the first error.

        The result of a failed statement holds the error. *database* is the default database, and
        *address* is the client's address for the audit log. *params* are the bound parameters.

        Raises:
            ParseError: *text* is invalid; nothing was executed.
            AccessDenied: `authorize` denied a statement; nothing was executed.
        """
        statements = self.parse(text, params)
        self.authorize(principal, statements, database)
        return Results(self.execute(statements, principal, database, address))

    def execute(
        self,
        statements: Iterable[Statement],
        principal: Principal,
        database: str = "",
        address: str = "",
    ) -> Iterable[Result]:
        """Executes *statements*, which must be authorized already, and yields a result for each.

        After a statement that failed, the error of each later statement is `not executed`.
        """
        failed = False
        for index, statement in enumerate(statements):
            if failed:
                yield Result(statement, error="not executed")
                continue
            first = principal.user is None and not principal.unrestricted and index == 0
            try:
                series = self.execute_statement(
                    statement, principal, database, address, first=first
                )
                yield Result(statement, series)
            except StatementError as error:
                failed = True
                yield Result(statement, error=str(error))

    def execute_statement(
        self,
        statement: Statement,
        principal: Principal,
        database: str = "",
        address: str = "",
        *,
        first: bool = False,
    ) -> tuple[Series, ...]:
        """Executes *statement*, which must be authorized already, and returns its tables.

        Raises StatementError. *first* requires of CREATE USER that no user exists.
        """
        match statement:
            case CreateUser():
                self._create_user(statement, audit_entry(principal, address, statement), first)
                return ()
            case ShowUsers():
                return (show_users(self.store),)
            case ShowGrants(user):
                return (show_grants(self.user(user)),)
            case ShowDatabases():
                return (show_databases(self.store, principal),)
            case SetPassword(name, password):
                if self.user(name) is None:
                    raise UserNotFound  # before the slow bcrypt
                hash = self.passwords.hash(password)
                session = principal.session
                keep = session.id if session is not None and session.user == name else ""
                set_hash = partial(
                    changes.set_hash,
                    name=name,
                    hash=hash,
                    keep_session=keep,
                    external=self.external_passwords,
                )
                self.store.transact(set_hash, audit_entry(principal, address, statement))
                return ()
            case ShowRetentionPolicies(named) if named or database:
                limits = self.parse.dialect == "1.12"
                return (show_retention_policies(self.store, named or database, limits=limits),)
            case ShowQueries() | ShowContinuousQueries():
                raise NoUpstream  # valid without a database: both cover all databases
        job = self.pending_transaction(statement, principal, address)
        if job is None:
            if any(need.names_no_database for need in required_privileges(statement, database)):
                raise DatabaseRequired
            check_answerable(statement)
            raise NoUpstream
        if not self.run_as_no_op(job):
            self.store.transact(job.change, job.audit)
        return ()

    def pending_transaction(
        self, statement: Statement, principal: Principal, address: str
    ) -> PendingTransaction | None:
        """Returns the change of *statement* as a transaction that the caller can commit in a group.

        Returns None if *statement* changes nothing in the user store. Also returns None for CREATE
        USER and SET PASSWORD: the whole group would wait for their bcrypt.

        Raises:
            InvalidName: a name in *statement* is not valid Unicode; no store can hold it.
        """
        make = statement_change(statement, keep_last_admin=self.keep_last_admin)
        if make is None:
            return None
        return PendingTransaction(make, audit_entry(principal, address, statement))

    def run_as_no_op(self, job: PendingTransaction) -> bool:
        """Runs the change of *job* if it writes nothing, without a transaction.

        Returns False if it has to write: then nothing was done. Raises what the change raises, such
        as UserNotFound.
        """
        return run_as_no_op(job.change, self.store)

    def _create_user(self, statement: CreateUser, audit: Audit, first: bool) -> None:
        """Creates the user of *statement*, unless it exists with this password and admin flag.

        With *first*, raises UserExists if the store has any user. Also raises UserExists,
        UsernameRequired, UsernameTooLong or BadPassword as CREATE USER does.
        """
        name = statement.name
        check_username(name)
        existing = self.user(name)
        if existing is None:
            hash = self.passwords.hash(statement.password)

            def create(tx: Tx) -> None:
                if first and not tx.empty():
                    raise UserExists  # another client created the first administrator
                changes.create_user(tx, name, hash, statement.admin)

            try:
                self.store.transact(create, audit)
                return
            except UserExists:
                existing = self.user(name)  # created meanwhile, perhaps by the same statement
        if existing is None or first or existing.admin != statement.admin:
            raise UserExists
        if not self.passwords.check_cached(existing, statement.password):
            if not self.passwords.verify(existing, statement.password):
                raise UserExists


def _allow(statement: Statement) -> None:
    """Does nothing: a principal with full access may execute every *statement*."""
