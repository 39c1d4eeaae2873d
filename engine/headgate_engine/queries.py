"""The results of SHOW USERS, SHOW GRANTS, SHOW DATABASES and SHOW RETENTION POLICIES."""

from headgate_engine.errors import DatabaseNotFound, UserNotFound
from headgate_engine.model.principal import Principal
from headgate_engine.model.result import Series, Value
from headgate_engine.model.user import User
from headgate_engine.stores.base import Store
from headgate_grammar import Privilege, go_duration

_PAGE_SIZE = 10_000
_SECOND = 1_000_000_000


def show_users(store: Store) -> Series:
    """Returns a table of each user's name and admin flag, in the order of the users' creation.

    Raises:
        StoreUnavailable: the store could not be read.
    """
    rows: list[tuple[str, bool]] = []
    after = ""
    while page := store.users(after, _PAGE_SIZE):
        rows.extend((account.name, account.admin) for account in page)
        after = page[-1].id
    return Series("", ("user", "admin"), rows)


def show_grants(user: User | None) -> Series:
    """Returns a table of the databases on which *user* has a grant, with the privilege on each.

    Raises:
        UserNotFound: *user* is None.
    """
    if user is None:
        raise UserNotFound
    rows = [(database, str(privilege)) for database, privilege in user.grants.items()]
    return Series("", ("database", "privilege"), rows)


def show_databases(store: Store, principal: Principal) -> Series:
    """Returns a table of the names of the databases on which *principal* has a privilege.

    An administrator, or a principal without a user, sees all databases.

    Raises:
        StoreUnavailable: the store could not be read.
    """
    user = principal.user
    rows = [
        (database.name,)
        for database in store.databases()
        if user is None or user.admin or user.grants.get(database.name, Privilege.NONE)
    ]
    return Series("databases", ("name",), rows)


def show_retention_policies(store: Store, name: str, *, limits: bool = False) -> Series:
    """Returns a table of the retention policies of the database *name*, as InfluxDB 1.8 does.

    With *limits*, the table has FUTURE LIMIT and PAST LIMIT, as in InfluxDB 1.12.

    Raises:
        DatabaseNotFound: there is no such database.
        StoreUnavailable: the store could not be read.
    """
    database = store.database(name)
    if database is None:
        raise DatabaseNotFound(name)
    columns = ["name", "duration", "shardGroupDuration", "replicaN", "default"]
    columns[4:4] = ["futureWriteLimit", "pastWriteLimit"] if limits else []
    rows = []
    for policy in database.policies:
        spans = map(_go_duration, (policy.future_limit, policy.past_limit) if limits else ())
        row: list[Value] = [policy.name, _go_duration(policy.duration)]
        row += [_go_duration(policy.shard_duration), policy.replication, *spans]
        rows.append((*row, policy.name == database.default_policy))
    return Series("", tuple(columns), rows)


def _go_duration(nanoseconds: int) -> str:
    """Returns *nanoseconds* as Go prints it: `168h0m0s`."""
    whole, fraction = divmod(nanoseconds, _SECOND)
    if not fraction or not whole:
        return go_duration(nanoseconds)
    return f"{go_duration(whole * _SECOND)[:-1]}.{f'{fraction:09}'.rstrip('0')}s"
