"""A number in a store, which shows whether a change was made twice or lost."""

from headgate_engine import Profile, Store, Tx

_HASH = "$2b$04$" + "." * 53


def count_up(tx: Tx) -> int:
    """Adds one to the number, which is 1 at first. Returns it."""
    user = tx.user("counter")
    if user is None:
        tx.add_user("counter", _HASH, False)
        return 1
    count = int(tx.profile(user).full_name or "1") + 1
    tx.put_profile(user, Profile(full_name=str(count)))
    return count


def counted(store: Store) -> int:
    """Returns the number in *store*; 0 before the first change."""
    user = store.user("counter")
    return int(store.profiles([user.id])[user.id].full_name or "1") if user is not None else 0
