"""A hash with a lower cost than configured is replaced at the next successful login."""

import pytest

from headgate_engine import (
    UNRESTRICTED,
    AuthenticationFailed,
    Engine,
    Passwords,
    Principal,
    Store,
    User,
)

CHEAP = "CREATE USER todd WITH PASSWORD 's3cret'"


def cost(user: User | None) -> int:
    assert user is not None
    return int(user.hash[4:6])


@pytest.fixture
def dearer(store: Store) -> Engine:
    """Returns an engine with bcrypt cost 6, and the user todd with a hash of cost 4."""
    Engine(store, Passwords(cost=4)).query(CHEAP, UNRESTRICTED)
    return Engine(store, Passwords(cost=6))


def test_a_good_login_makes_the_hash_as_dear_as_configured(dearer: Engine) -> None:
    assert cost(dearer.user("todd")) == 4
    assert cost(dearer.authenticate("todd", "s3cret")) == 6
    assert cost(dearer.user("todd")) == 6
    assert dearer.authenticate("todd", "s3cret")
    last = dearer.store.audit()[-1]
    assert last.actor == "todd" and "s3cret" not in last.statement and "$2b$" not in last.statement


def test_a_wrong_one_does_not_and_nor_does_a_cheaper_configuration(store: Store) -> None:
    Engine(store, Passwords(cost=6)).query(CHEAP, UNRESTRICTED)
    cheap = Engine(store, Passwords(cost=4))
    assert cost(cheap.authenticate("todd", "s3cret")) == 6
    dear = Engine(store, Passwords(cost=7))
    with pytest.raises(AuthenticationFailed):
        dear.authenticate("todd", "wrong")
    assert cost(dear.user("todd")) == 6


def test_requests_under_way_and_remembered_passwords_go_on(dearer: Engine, store: Store) -> None:
    other = Engine(store, Passwords(cost=4))  # another process, in which todd has logged in before
    before = Principal(other.authenticate("todd", "s3cret"), "password")
    dearer.authenticate("todd", "s3cret")
    assert other.renew(before).user == dearer.user("todd")
    assert other.authenticate_cached("todd", "s3cret") is not None
    assert other.authenticate_cached("todd", "wrong") is None


def test_but_not_behind_another_password(dearer: Engine) -> None:
    before = Principal(dearer.authenticate("todd", "s3cret"), "password")
    dearer.query("SET PASSWORD FOR todd = 's3cret'", UNRESTRICTED)
    with pytest.raises(AuthenticationFailed):
        dearer.renew(before)
    assert dearer.authenticate_cached("todd", "s3cret") is None


@pytest.mark.parametrize(
    ("password", "error"),
    [
        ("1234567", "password must have at least 8 characters"),
        ("", "password must have at least 8 characters"),
        ("12345678", ""),
        ("ééééÄÄÄÄ", ""),
        ("x" * 73, "bcrypt: password length exceeds 72 bytes"),
    ],
)
def test_a_new_password_may_have_to_be_long(store: Store, password: str, error: str) -> None:
    engine = Engine(store, Passwords(cost=4, min_length=8))
    (made,) = engine.query(f"CREATE USER todd WITH PASSWORD '{password}'", UNRESTRICTED)
    assert made.error == error
    engine.query("CREATE USER todd WITH PASSWORD 'long enough'", UNRESTRICTED)
    (changed,) = engine.query(f"SET PASSWORD FOR todd = '{password}'", UNRESTRICTED)
    assert changed.error == error
    assert engine.authenticate("todd", password if not error else "long enough")
