"""The results of SHOW USERS, SHOW GRANTS and SHOW DATABASES."""

from headgate_engine.errors import UserNotFound
from headgate_engine.model.result import Series
from headgate_engine.model.user import Principal, User
from headgate_engine.stores.base import Store
from headgate_grammar import Privilege

_PAGE_SIZE = 10_000


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
