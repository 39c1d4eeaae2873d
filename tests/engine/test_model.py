"""Random statements against a model made of dicts: the engine never disagrees with it."""

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from headgate_engine import EVERYBODY, Engine, MemoryStore, Passwords, SqliteStore, Store
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

USERS = st.sampled_from(["root", "a", "b", "A"])
DATABASES = st.sampled_from(["x", "y", "X"])
PRIVILEGES = st.sampled_from([Privilege.READ, Privilege.WRITE, Privilege.ALL])


class Model(RuleBasedStateMachine):
    """What InfluxDB's rules say, in the plainest words."""

    def make_store(self) -> Store:
        return MemoryStore()

    @initialize()
    def begin(self) -> None:
        self.store = self.make_store()
        self.engine = Engine(self.store, Passwords(cost=4))
        self.admins: dict[str, bool] = {}
        self.grants: dict[str, dict[str, Privilege]] = {}
        self.databases: list[str] = []

    def run_one(self, statement: Statement) -> str:
        (result,) = self.engine.execute([statement], EVERYBODY)
        return result.error

    @rule(name=USERS, admin=st.booleans())
    def create_user(self, name: str, admin: bool) -> None:
        tail = " WITH ALL PRIVILEGES" if admin else ""
        (result,) = self.engine.query(f"CREATE USER {name} WITH PASSWORD 'x'{tail}", EVERYBODY)
        if name not in self.admins:
            assert not result.error
            self.admins[name] = admin
            self.grants[name] = {}
        else:
            same = self.admins[name] == admin
            assert result.error == ("" if same else "user already exists")

    def last_admin(self, name: str) -> bool:
        return self.admins[name] and sum(self.admins.values()) == 1

    @rule(name=USERS)
    def drop_user(self, name: str) -> None:
        error = self.run_one(DropUser(name))
        if name not in self.admins:
            assert error == "user not found"
        elif self.last_admin(name):
            assert error == "cannot remove the last admin user"
        else:
            assert not error
            del self.admins[name], self.grants[name]

    @rule(name=USERS)
    def grant_admin(self, name: str) -> None:
        error = self.run_one(GrantAdmin(name))
        assert error == ("" if name in self.admins else "user not found")
        if name in self.admins:
            self.admins[name] = True

    @rule(name=USERS)
    def revoke_admin(self, name: str) -> None:
        error = self.run_one(RevokeAdmin(name))
        if name not in self.admins:
            assert error == "user not found"
        elif self.last_admin(name):
            assert error == "cannot remove the last admin user"
        else:
            assert not error
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

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()


class SqliteModel(Model):
    def make_store(self) -> Store:
        self.folder = tempfile.TemporaryDirectory()
        return SqliteStore(Path(self.folder.name) / "users.db")

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "folder"):
            self.folder.cleanup()


TestMemory = Model.TestCase
TestMemory.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
TestSqlite = SqliteModel.TestCase
TestSqlite.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
