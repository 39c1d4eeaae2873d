"""Random statements against a model made of dicts: the engine never disagrees with it.

On SQLite also with restarts, and with a second process that does and sees half of it.
"""

import os
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from headgate_engine import Engine, MemoryStore, Passwords, SqliteStore, Store
from headgate_grammar import (
    CreateDatabase,
    DropDatabase,
    DropUser,
    Grant,
    GrantAdmin,
    Privilege,
    Revoke,
    RevokeAdmin,
    Statement,
)
from support.other_process import OtherProcess, errors, lets_in

# `make long CHECK=model` asks for more.
EXAMPLES = int(os.environ.get("HEADGATE_TEST_EXAMPLES", "30"))
USERS = st.sampled_from(["root", "a", "b", "A"])
DATABASES = st.sampled_from(["x", "y", "X"])
PRIVILEGES = st.sampled_from([Privilege.READ, Privilege.WRITE, Privilege.ALL])
PASSWORDS = st.sampled_from(["x", "X", ""])


class Model(RuleBasedStateMachine):
    """What InfluxDB's rules say, in the plainest words."""

    def make_store(self) -> Store:
        return MemoryStore()

    @initialize()
    def begin(self) -> None:
        self.store = self.make_store()
        self.engine = Engine(self.store, Passwords(cost=4))
        self.admins: dict[str, bool] = {}
        self.passwords: dict[str, str] = {}
        self.grants: dict[str, dict[str, Privilege]] = {}
        self.databases: list[str] = []

    def run_text(self, text: str) -> str:
        (error,) = errors(self.engine, text)
        return error

    def lets_in(self, name: str, password: str) -> bool:
        return lets_in(self.engine, name, password)

    def run_one(self, statement: Statement) -> str:
        return self.run_text(str(statement))

    @rule(name=USERS, password=PASSWORDS, admin=st.booleans())
    def create_user(self, name: str, password: str, admin: bool) -> None:
        tail = " WITH ALL PRIVILEGES" if admin else ""
        error = self.run_text(f"CREATE USER {name} WITH PASSWORD '{password}'{tail}")
        if name not in self.admins:
            assert not error
            self.admins[name] = admin
            self.passwords[name] = password
            self.grants[name] = {}
        else:
            same = self.admins[name] == admin and self.passwords[name] == password
            assert error == ("" if same else "user already exists")

    @rule(name=USERS, password=PASSWORDS)
    def set_password(self, name: str, password: str) -> None:
        error = self.run_text(f"SET PASSWORD FOR {name} = '{password}'")
        assert error == ("" if name in self.admins else "user not found")
        if name in self.admins:
            self.passwords[name] = password

    @rule(name=USERS, password=PASSWORDS)
    def log_in(self, name: str, password: str) -> None:
        assert self.lets_in(name, password) == (self.passwords.get(name) == password)

    def last_admin(self, name: str) -> bool:
        return self.admins[name] and sum(self.admins.values()) == 1

    def removal_error(self, name: str) -> str:
        """Returns the error of a statement that makes *name* no administrator, "" for success."""
        if name not in self.admins:
            return "user not found"
        return "cannot remove the last admin user" if self.last_admin(name) else ""

    @rule(name=USERS)
    def drop_user(self, name: str) -> None:
        expected = self.removal_error(name)
        error = self.run_one(DropUser(name))
        assert error == expected
        if not expected:
            del self.admins[name], self.passwords[name], self.grants[name]

    @rule(name=USERS)
    def grant_admin(self, name: str) -> None:
        error = self.run_one(GrantAdmin(name))
        assert error == ("" if name in self.admins else "user not found")
        if name in self.admins:
            self.admins[name] = True

    @rule(name=USERS)
    def revoke_admin(self, name: str) -> None:
        expected = self.removal_error(name)
        error = self.run_one(RevokeAdmin(name))
        assert error == expected
        if not expected:
            self.admins[name] = False

    @rule(name=USERS, database=DATABASES, privilege=PRIVILEGES, giving=st.booleans())
    def grant_or_revoke(self, name: str, database: str, privilege: Privilege, giving: bool) -> None:
        kind = Grant if giving else Revoke
        error = self.run_one(kind(privilege, database, name))
        if name not in self.admins:
            assert error == "user not found"
        elif database not in self.databases:
            assert error == f"database not found: {database}"
        else:
            assert not error
            had = self.grants[name].get(database, Privilege.NONE)
            self.grants[name][database] = privilege if giving else had & ~privilege

    @rule(name=DATABASES)
    def create_database(self, name: str) -> None:
        assert not self.run_one(CreateDatabase(name))
        if name not in self.databases:
            self.databases.append(name)

    @rule(name=DATABASES)
    def drop_database(self, name: str) -> None:
        assert not self.run_one(DropDatabase(name))
        if name in self.databases:
            self.databases.remove(name)
            for grants in self.grants.values():
                grants.pop(name, None)

    @invariant()
    def the_store_holds_what_the_model_holds(self) -> None:
        if not hasattr(self, "store"):
            return
        assert {a.name: a.admin for a in self.store.users()} == self.admins
        assert [a.name for a in self.store.users()] == list(self.admins)
        assert [database.name for database in self.store.databases()] == self.databases
        for name, grants in self.grants.items():
            user = self.store.user(name)
            assert user is not None and dict(user.grants) == grants
        revisions = [record.revision for record in self.store.audit()]
        assert revisions == list(range(1, self.store.confirmed_revision() + 1))

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()


class SqliteModel(Model):
    """Half of the statements go to another process, and this one is restarted now and then."""

    steps = 0

    def make_store(self) -> Store:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "users.db"
        store = SqliteStore(self.path)
        self.other = other_process()
        self.other.open(self.path)
        self.elsewhere = False
        return store

    def run_text(self, text: str) -> str:
        SqliteModel.steps += 1
        if not self.elsewhere:
            return super().run_text(text)
        (error,) = self.other.errors(text)
        return error

    def lets_in(self, name: str, password: str) -> bool:
        SqliteModel.steps += 1
        if not self.elsewhere:
            return super().lets_in(name, password)
        return self.other.lets_in(name, password)

    @rule()
    def go_to_the_other_process(self) -> None:
        self.elsewhere = not self.elsewhere

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = SqliteStore(self.path)
        self.engine = Engine(self.store, Passwords(cost=4))

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "folder"):
            self.folder.cleanup()


_others: list[OtherProcess] = []


def other_process() -> OtherProcess:
    if not _others:
        _others.append(OtherProcess())
    return _others[0]


def teardown_module() -> None:
    print(f"{SqliteModel.steps} statements and logins on SQLite, 0 differences")
    for other in _others:
        other.end()


TestMemory = Model.TestCase
TestMemory.settings = settings(max_examples=60, stateful_step_count=50)
TestSqlite = SqliteModel.TestCase
TestSqlite.settings = settings(max_examples=EXAMPLES, stateful_step_count=50)
