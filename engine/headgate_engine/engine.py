"""Users, databases and grants: who someone is, what he may do, and doing it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from headgate_engine import commands as rules
from headgate_engine.errors import (
    AdminRequiredFirst,
    AuthenticationFailed,
    DatabaseRequired,
    InvalidName,
    NotAuthorized,
    NoUpstream,
    StatementError,
    Unavailable,
    Unknown,
    UserExists,
    UsernameRequired,
    UsernameTooLong,
    UserNotFound,
)
from headgate_engine.model.result import Result, Series
from headgate_engine.model.token_rights import Rights
from headgate_engine.model.user import Identity, Principal, User
from headgate_engine.passwords import Passwords, same_password
from headgate_engine.provisioning import Adopt, Door, preview, recognize, sign_in
from headgate_engine.required_privileges import Need, allows, needs
from headgate_engine.stores.base import Audit, Store, Tx
from headgate_engine.stores.group_commit import Job
from headgate_engine.unsupported_sources import check_answerable
from headgate_grammar import (
    CreateDatabase,
    CreateUser,
    DropDatabase,
    DropUser,
    Grant,
    GrantAdmin,
    ParseCache,
    Privilege,
    Revoke,
    RevokeAdmin,
    SetPassword,
    ShowContinuousQueries,
    ShowDatabases,
    ShowGrants,
    ShowQueries,
    ShowUsers,
    Statement,
    redact_urls,
)

KEEP_LAST_ADMIN = True  # the default, also of the server's settings
_LONGEST_NAME = 1024
_PAGE = 10_000


class Engine:
    """InfluxQL's users, grants and databases over a store.

    *keep_last_admin* refuses to drop or demote the only administrator. May be used from several
    threads.
    """

    def __init__(
        self,
        store: Store,
        passwords: Passwords | None = None,
        parse: ParseCache | None = None,
        *,
        keep_last_admin: bool = KEEP_LAST_ADMIN,
    ) -> None:
        self.store = store
        self.passwords = passwords or Passwords()
        self.parse = parse or ParseCache()
        self._keep_last_admin = keep_last_admin

    # ---- who someone is

    def recall(self, name: str, password: str) -> User | None:
        """The user, if name and password were verified before: microseconds, and never bcrypt."""
        user = self.user(name)
        return user if self.remembers(user, password) else None

    def remembers(self, user: User | None, password: str) -> bool:
        """The same of a *user* who was looked up just now."""
        return self.passwords.recall(user, password)

    def authenticate(self, name: str, password: str) -> User:
        """The user of that name and password. Raises AuthenticationFailed.

        Costs a bcrypt, also where there is no such user, unless the password is remembered.
        """
        user = self.user(name)
        if self.passwords.recall(user, password) and user is not None:
            return user
        if not self.passwords.verify(user, password):
            raise AuthenticationFailed
        # bcrypt took its time: the user may have been changed or dropped meanwhile.
        now = self.user(name)
        if user is None or now is None or not same_password(now, user):
            raise AuthenticationFailed
        return self._strengthened(now, password) if self.passwords.outdated(now) else now

    def _strengthened(self, user: User, password: str) -> User:
        """*user* with his password hashed at the cost that is configured now."""
        hash = self.passwords.rehash(user, password)
        audit = Audit(user.name, "", f"-- password of {user.name!r} hashed at a higher cost")

        def change(tx: Tx) -> None:
            now = tx.user(user.name)
            if now is not None and now.id == user.id and now.hash == user.hash:
                tx.put_user(now, hash=hash, admin=now.admin)

        try:
            self.store.transact(change, audit)
        except (Unavailable, Unknown):
            return user  # the next login tries again
        return self.user(user.name) or user

    def user(self, name: str) -> User | None:
        """The user of that name, as he is now."""
        return self.store.user(name) if name.isascii() or _storable(name) else None

    def renew(self, principal: Principal) -> Principal:
        """*principal* with what he may do now. Raises AuthenticationFailed if he was dropped, or
        his password changed, since he logged in.
        """
        if principal.user is None or principal.passing:
            return principal
        now = self.user(principal.name)
        if now is principal.user and principal.lent is None:
            return principal  # nothing has changed
        if now is None or not same_password(now, principal.user):
            raise AuthenticationFailed
        if principal.lent is not None:
            now = self.lend(now, principal.lent)
        return replace(principal, user=now)

    def recognize(self, identity: Identity, rights: Rights | None) -> User | None:
        """The user of *identity*, if he has exactly *rights* already; None if `sign_in` has to
        see to it. Reads only. Raises IdentityDropped.
        """
        return recognize(self.store, identity, rights, keep_last_admin=self._keep_last_admin)

    def lend(self, user: User, rights: Rights) -> User:
        """*user* with the grants of *rights* in place of his own; nothing is written.

        The admin flag is never lent, but who has it has it only if *rights* do not say no.
        """
        grants = rights.on(database.name for database in self.store.databases())
        return replace(user, grants=grants, admin=user.admin and rights.admin is not False)

    def sign_in(
        self,
        identity: Identity,
        rights: Rights | None,
        address: str = "",
        *,
        sign_up: bool = False,
        adopt: Adopt = "none",
        dry: bool = False,
    ) -> User:
        """The user of *identity*, who has exactly *rights* from now on (None: what he has).

        Somebody unknown comes in with *sign_up*, or as the user of his name by *adopt*. Written
        only if something changes, and never if *dry*. Raises SignUpDisabled, IdentityTaken,
        IdentityDropped.
        """
        door = Door(sign_up, adopt, self._keep_last_admin)
        if dry:
            return preview(self.store, identity, rights, door)
        return sign_in(self.store, identity, rights, door, address)

    # ---- what he may do

    def authorize(
        self, principal: Principal, statements: Sequence[Statement], database: str = ""
    ) -> None:
        """Raises AccessDenied with the first need of *statements* that *principal* lacks.

        *database* is the one that statements mean which name none.
        """
        user = principal.user
        if principal.unrestricted:
            return
        if user is None:
            if not (statements and _makes_admin(statements[0]) and self.store.empty()):
                raise AdminRequiredFirst
            return
        for statement in statements:
            _check_allowed(user, statement, database)

    def authorizer(self, principal: Principal, database: str = "") -> Callable[[Statement], None]:
        """Returns what `authorize` does for the statements of a query one by one, in their order.

        A query without statements needs `authorize`.
        """
        user = principal.user
        if principal.unrestricted:
            return _allow
        if user is not None:
            return partial(_check_allowed, user, database=database)
        first = True

        def begin(statement: Statement) -> None:
            nonlocal first
            if first:
                self.authorize(principal, (statement,), database)
            first = False

        return begin

    def allows(self, name: str, privilege: Privilege, database: str) -> bool:
        """Whether the user of that name has *privilege* on *database* now: microseconds, however
        many users there are. Nobody has anything on a database that does not exist, but an
        administrator.
        """
        user = self.user(name)
        return user is not None and allows(user, Need(privilege, database))

    # ---- and doing it

    def query(
        self, text: str, principal: Principal, database: str = "", address: str = ""
    ) -> list[Result]:
        """Parses, authorizes all, executes one after the other; stops at the first error.

        Raises ParseError and AccessDenied; then nothing was done. What goes wrong with a single
        statement stands in its result. *address* is where the query comes from, for the audit.
        """
        statements = self.parse(text)
        self.authorize(principal, statements, database)
        return list(self.execute(statements, principal, database, address))

    def execute(
        self,
        statements: Iterable[Statement],
        principal: Principal,
        database: str = "",
        address: str = "",
    ) -> Iterable[Result]:
        """The results of *statements*, which are authorized already, as they come."""
        failed = False
        for index, statement in enumerate(statements):
            if failed:
                yield Result(statement, error="not executed")
                continue
            first = principal.user is None and not principal.trusted and index == 0
            try:
                if isinstance(statement, CreateUser):
                    self._create_user(statement, _audit(principal, address, statement), first)
                    yield Result(statement)
                else:
                    yield Result(statement, self._execute(statement, principal, database, address))
            except StatementError as error:
                failed = True
                yield Result(statement, error=str(error))

    def _execute(
        self, statement: Statement, principal: Principal, database: str, address: str
    ) -> tuple[Series, ...]:
        match statement:
            case ShowUsers():
                return (self._show_users(),)
            case ShowGrants(user):
                return (self._show_grants(user),)
            case ShowDatabases():
                return (self._show_databases(principal),)
            case SetPassword(name, password):
                if self.user(name) is None:
                    raise UserNotFound  # before bcrypt, which would take its time for nothing
                set_hash = partial(rules.set_hash, name=name, hash=self.passwords.hash(password))
                self.store.transact(set_hash, _audit(principal, address, statement))
                return ()
            case ShowQueries() | ShowContinuousQueries():
                raise NoUpstream  # these show all databases, if the request names none
        job = self.change(statement, principal, address)
        if job is None:
            if any(not (need.admin or need.database) for need in needs(statement, database)):
                raise DatabaseRequired
            check_answerable(statement)
            raise NoUpstream
        self.store.transact(job.change, job.audit)
        return ()

    def change(self, statement: Statement, principal: Principal, address: str) -> Job | None:
        """What *statement* does to the store, if that is all it does and takes no bcrypt: for who
        has a way of his own to wait for the store. Raises InvalidName.
        """
        make: Callable[[Tx], Any]
        match statement:
            case DropUser(name):
                make = partial(rules.drop_user, name=name, keep_last_admin=self._keep_last_admin)
            case Grant(privilege, on, user):
                make = partial(rules.grant, name=user, database=on, privilege=privilege)
            case Revoke(privilege, on, user):
                make = partial(rules.revoke, name=user, database=on, privilege=privilege)
            case GrantAdmin(user):
                make = partial(rules.grant_admin, name=user)
            case RevokeAdmin(user):
                keep = self._keep_last_admin
                make = partial(rules.revoke_admin, name=user, keep_last_admin=keep)
            case CreateDatabase(name, options):
                make = partial(rules.create_database, name=name, options=options)
            case DropDatabase(name):
                make = partial(rules.drop_database, name=name)
            case _:
                return None
        return Job(make, _audit(principal, address, statement))

    def _create_user(self, statement: CreateUser, audit: Audit, first: bool) -> None:
        """Does nothing if he is there with the same password and admin flag."""
        name = statement.name
        if not name:
            raise UsernameRequired
        if len(name.encode("utf-8", "surrogatepass")) > _LONGEST_NAME:
            raise UsernameTooLong(_LONGEST_NAME)
        existing = self.user(name)
        if existing is None:
            hash = self.passwords.hash(statement.password)

            def create(tx: Tx) -> None:
                if first and not tx.empty():
                    raise UserExists  # somebody else was faster to make the first administrator
                rules.create_user(tx, name, hash, statement.admin)

            try:
                self.store.transact(create, audit)
                return
            except UserExists:
                existing = self.user(name)  # made meanwhile, perhaps by the same statement
        if existing is None or first or existing.admin != statement.admin:
            raise UserExists
        if not self.passwords.recall(existing, statement.password):
            if not self.passwords.verify(existing, statement.password):
                raise UserExists

    def _show_users(self) -> Series:
        rows: list[tuple[str, bool]] = []
        after = ""
        while page := self.store.users(after, _PAGE):
            rows.extend((account.name, account.admin) for account in page)
            after = page[-1].id
        return Series("", ("user", "admin"), rows)

    def _show_grants(self, name: str) -> Series:
        user = self.user(name)
        if user is None:
            raise UserNotFound
        rows = [(database, str(privilege)) for database, privilege in user.grants.items()]
        return Series("", ("database", "privilege"), rows)

    def _show_databases(self, principal: Principal) -> Series:
        user = principal.user
        rows = [
            (database.name,)
            for database in self.store.databases()
            if user is None or user.admin or user.grants.get(database.name, Privilege.NONE)
        ]
        return Series("databases", ("name",), rows)


def _allow(statement: Statement) -> None:
    """For a principal that may do everything."""


def _check_allowed(user: User, statement: Statement, database: str) -> None:
    """Raises NotAuthorized."""
    for need in needs(statement, database):
        if not allows(user, need):
            raise NotAuthorized(user.name, redact_urls(str(statement)), str(need))


def _makes_admin(statement: Statement) -> bool:
    return isinstance(statement, CreateUser) and statement.admin


def _audit(principal: Principal, address: str, statement: Statement) -> Audit:
    """Raises InvalidName for a statement with a name that no store can hold."""
    text = redact_urls(str(statement))
    if not _storable(text):
        raise InvalidName
    return Audit(principal.name, address, text)


def _storable(name: str) -> bool:
    """A name from a login may be no text at all; then nobody has it."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
