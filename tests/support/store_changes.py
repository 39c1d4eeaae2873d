"""Changes of a user store that its contract suites share."""

from collections.abc import Callable
from typing import Any

from headgate_engine import Audit, Session, Store, Tx, User

HASH = "$2b$04$" + "." * 53


def change(store: Store, *steps: Callable[[Tx], Any]) -> int:
    def all_of_them(tx: Tx) -> None:
        for step in steps:
            step(tx)

    return store.transact(all_of_them, Audit("root", "127.0.0.1", "TEST"))[1]


def add_user(store: Store, name: str, admin: bool = False) -> User:
    change(store, lambda tx: tx.add_user(name, HASH, admin))
    return the_user(store, name)


def the_user(store: Store, name: str) -> User:
    user = store.user(name)
    assert user is not None
    return user


def session_of(user: User, hash: bytes = b"1" * 32, **fields: Any) -> Session:
    fields = {"created_at": 5, "rotated_at": 5, "method": "password", **fields}
    return Session(user.id, user.name, hash, **fields)
