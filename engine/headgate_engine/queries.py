"""The results of SHOW USERS, SHOW GRANTS and SHOW DATABASES."""

from headgate_engine.errors import UserNotFound
from headgate_engine.model.result import Series
from headgate_engine.model.user import Principal, User
from headgate_engine.stores.base import Store
from headgate_grammar import Privilege

_PAGE_SIZE = 10_000


def show_users(store: Store) -> Series:
    """Returns each user's name and admin flag, in the order of creation.

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
    """Returns each database that *user* has a grant on, with the privilege.

    Raises:
        UserNotFound: *user* is None.
    """
    if user is None:
        raise UserNotFound
    rows = [(database, str(privilege)) for database, privilege in user.grants.items()]
    return Series("", ("database", "privilege"), rows)


def show_databases(store: Store, principal: Principal) -> Series:
    """Returns the databases on which *principal* has a privilege; administrators see all.

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
