"""Users as accounts: disabled and enabled."""

import pytest

from headgate_engine import UNRESTRICTED, Engine, LastAdmin, Passwords, Store, UserStatus


def test_the_last_administrator_is_not_disabled(store: Store) -> None:
    engine = Engine(store, Passwords(4))
    engine.create_user("root", "Toor-1", admin=True)
    engine.create_user("todd", "s3cret")
    root = engine.user("root")
    assert root is not None
    for status in (UserStatus.DISABLED, UserStatus.PENDING):
        with pytest.raises(LastAdmin):
            engine.accounts.set_status(UNRESTRICTED, root, status)
    engine.grant_admin("todd")
    engine.accounts.set_status(UNRESTRICTED, root, UserStatus.DISABLED)
    with pytest.raises(LastAdmin):
        engine.drop_user("todd")
    engine.drop_user("root")
