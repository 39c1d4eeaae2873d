"""The privileges that a statement requires, and whether a user has them. Pure functions."""

from collections.abc import Iterable
from dataclasses import dataclass

from headgate_engine.model.user import User
from headgate_grammar import (
    AlterRetentionPolicy,
    CreateContinuousQuery,
    CreateDatabase,
    CreateRetentionPolicy,
    CreateSubscription,
    CreateUser,
    Delete,
    DropContinuousQuery,
    DropDatabase,
    DropMeasurement,
    DropRetentionPolicy,
    DropSeries,
    DropShard,
    DropSubscription,
    DropUser,
    Explain,
    Grant,
    GrantAdmin,
    KillQuery,
    Privilege,
    Revoke,
    RevokeAdmin,
    Select,
    SetPassword,
    ShowContinuousQueries,
    ShowDatabases,
    ShowDiagnostics,
    ShowFieldKeyCardinality,
    ShowFieldKeys,
    ShowGrants,
    ShowMeasurementCardinality,
    ShowMeasurements,
    ShowQueries,
    ShowRetentionPolicies,
    ShowSeries,
    ShowSeriesCardinality,
    ShowShardGroups,
    ShowShards,
    ShowStats,
    ShowSubscriptions,
    ShowTagKeyCardinality,
    ShowTagKeys,
    ShowTagValues,
    ShowTagValuesCardinality,
    ShowUsers,
    Source,
    Statement,
    Subquery,
    databases,
)


@dataclass(frozen=True, slots=True)
class RequiredPrivilege:
    """The need for *privilege* on *database*, or for the admin flag if *admin* is True.

    With *every_database*, *privilege* is needed on every database. `str()` returns the words of
    InfluxDB's error text, for example `READ on db`.
    """

    privilege: Privilege = Privilege.NONE
    database: str = ""
    admin: bool = False
    every_database: bool = False

    def __str__(self) -> str:
        if self.admin:
            return "admin privilege"
        return f"{self.privilege} on {'*' if self.every_database else self.database}"

    @property
    def names_no_database(self) -> bool:
        """Whether a database is needed, but neither the statement nor the request names one."""
        return not (self.admin or self.database or self.every_database)


ADMIN = RequiredPrivilege(admin=True)
# The table behind `covers`: a look-up is faster than `&` of two flags, which takes a microsecond.
_COVERS = [[granted & needed == needed for needed in range(4)] for granted in range(4)]

RequiredPrivileges = tuple[RequiredPrivilege, ...]


def required_privileges(statement: Statement, database: str) -> RequiredPrivileges:
    """Returns the privileges that *statement* requires, in the order in which InfluxDB checks them.

    Users with the admin flag need no privileges. *database* is the default database of the request,
    for a statement that names no database.
    """
    match statement:
        case CreateUser() | DropUser() | SetPassword() | ShowUsers() | ShowGrants():
            return (ADMIN,)
        case Grant() | Revoke() | GrantAdmin() | RevokeAdmin():
            return (ADMIN,)
        case CreateDatabase() | DropDatabase():
            return (ADMIN,)
        case CreateRetentionPolicy() | AlterRetentionPolicy() | DropMeasurement() | DropShard():
            return (ADMIN,)
        case CreateSubscription() | DropSubscription() | ShowSubscriptions() | KillQuery():
            return (ADMIN,)
        case ShowShards() | ShowShardGroups() | ShowStats() | ShowDiagnostics():
            return (ADMIN,)
        case ShowDatabases():
            return ()
        case Select():
            return _select(statement, database)
        case Explain(select):
            return _select(select, database)
        case CreateContinuousQuery():
            return _continuous_query(statement)
        case Delete() | DropSeries():
            return (_write(database),)
        case DropRetentionPolicy(_, named) | DropContinuousQuery(_, named):
            return (_write(named),)
        case ShowContinuousQueries() | ShowQueries():
            return (_read(database),)
        case ShowRetentionPolicies(named):
            return (_read(named or database),)
        case ShowMeasurements(named, measurement):
            sources = (measurement,) if measurement is not None else ()
            if statement.any_database:
                # InfluxDB 1.12 checks the request's database alone.
                every = RequiredPrivilege(Privilege.READ, every_database=True)
                return _unique([every, *(_read(name) for name in databases(sources) if name)])
            return _default_and_named(named or database, sources)
        case ShowSeries(named, sources) | ShowFieldKeys(named, sources):
            return _default_and_named(named or database, sources)
        case ShowTagKeys(named, sources) | ShowTagValues(_, named, sources):
            return _default_and_named(named or database, sources)
        case ShowSeriesCardinality() | ShowMeasurementCardinality() if not statement.exact:
            return _default_and_named(statement.database or database, statement.sources)
        case ShowSeriesCardinality() | ShowMeasurementCardinality():
            return _cardinality(statement.sources, statement.database or database)
        case ShowFieldKeyCardinality() | ShowTagKeyCardinality() | ShowTagValuesCardinality():
            return _cardinality(statement.sources, statement.database or database)


def allows(user: User, required: RequiredPrivilege) -> bool:
    """Returns whether *user* has the privilege *required*; administrators have all privileges.

    Returns False for a privilege on every database: the caller checks each database.
    """
    if user.admin:
        return True
    if required.admin or required.every_database:
        return False
    return covers(user.grants.get(required.database, Privilege.NONE), required.privilege)


def covers(granted: Privilege, needed: Privilege) -> bool:
    """Returns whether the privilege *granted* includes *needed*."""
    return _COVERS[granted][needed]


def is_write(statement: Statement) -> bool:
    """Returns whether InfluxDB's response to a GET request warns that *statement* writes.

    InfluxDB 1.8 does not warn of DELETE.
    """
    match statement:
        case Select(target=target):
            return target is not None
        case Delete() | Explain():
            return False
        case _:
            return not type(statement).__name__.startswith("Show")


def is_read_only(statement: Statement) -> bool:
    """Returns whether *statement* changes nothing, so that executing it twice is harmless."""
    match statement:
        case Select(target=target):
            return target is None
        case Explain():
            return True
        case _:
            return type(statement).__name__.startswith("Show")


def _read(database: str) -> RequiredPrivilege:
    return RequiredPrivilege(Privilege.READ, database)


def _write(database: str) -> RequiredPrivilege:
    return RequiredPrivilege(Privilege.WRITE, database)


def _select(select: Select, database: str) -> RequiredPrivileges:
    """Returns READ on the database of each measurement, then WRITE on the database of INTO.

    The measurements in subqueries count, too.
    """
    found: list[RequiredPrivilege] = []
    for source in select.sources:
        if isinstance(source, Subquery):
            found.extend(_select(source.select, database))
        else:
            found.append(_read(source.database or database))
    if select.target is not None:
        found.append(_write(select.target.database or database))
    return _unique(found)


def _continuous_query(statement: CreateContinuousQuery) -> RequiredPrivileges:
    """Returns READ on the database of *statement*, and the privileges that its SELECT requires.

    InfluxDB requires less: it does not check the sources of the SELECT.
    """
    return _unique([_read(statement.database), *_select(statement.select, statement.database)])


def _default_and_named(default: str, sources: Iterable[Source]) -> RequiredPrivileges:
    """Returns READ on the database *default* and on each database that *sources* name.

    *sources* is the content of FROM. InfluxDB checks only *default*.
    """
    named = (database for database in databases(tuple(sources)) if database)
    return _unique([_read(default), *map(_read, named)])


def _cardinality(sources: Iterable[Source], default: str) -> RequiredPrivileges:
    """Returns READ on the database of each of *sources*, or on *default* without *sources*.

    *sources* is the content of FROM; a source that names no database is in *default*. Without FROM,
    InfluxDB requires no privilege.
    """
    found = [_read(named or default) for named in databases(tuple(sources))]
    return _unique(found or [_read(default)])


def _unique(found: Iterable[RequiredPrivilege]) -> RequiredPrivileges:
    return tuple(dict.fromkeys(found))
