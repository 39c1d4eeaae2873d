"""Passwords: bcrypt hashes, verification, and the cache of verified passwords."""

import threading
from dataclasses import replace

import bcrypt
import pytest

from headgate_engine import BadPassword, Passwords, User


def user(passwords: Passwords, password: str, id: str = "1") -> User:
    return User(id, "todd", passwords.hash(password), False, {})


@pytest.fixture
def passwords() -> Passwords:
    return Passwords(cost=4)


@pytest.mark.parametrize("password", ["", "x", "pässwörd", "密码🔑", "x" * 72, " ", "\n", "%+&=#"])
def test_a_password_is_verified_and_no_other(passwords: Passwords, password: str) -> None:
    todd = user(passwords, password)
    assert passwords.verify(todd, password)
    assert not passwords.verify(todd, password + "x")
    assert not passwords.verify(None, password)


@pytest.mark.parametrize("password", ["x" * 73, "é" * 37, "a\0b"])
def test_a_password_that_bcrypt_cannot_keep_whole_is_refused(
    passwords: Passwords, password: str
) -> None:
    with pytest.raises(BadPassword):
        passwords.hash(password)


def test_bytes_beyond_the_72nd_count_at_login(passwords: Passwords) -> None:
    todd = user(passwords, "x" * 72)
    assert not passwords.verify(todd, "x" * 73)
    assert not passwords.check_cached(todd, "x" * 73)


def test_hashes_of_influxdb_verify(passwords: Passwords) -> None:
    made = bcrypt.hashpw(b"secret", bcrypt.gensalt(4, prefix=b"2a")).decode()
    assert made.startswith("$2a$")
    assert passwords.verify(User("1", "todd", made, False, {}), "secret")


@pytest.mark.parametrize(
    "hash",
    ["", "x", "$2b$31$" + "." * 53, "$2b$04$" + "." * 52, "$2b$4$" + "." * 53, "$1$04$" + "." * 53],
)
def test_a_stored_hash_of_another_form_never_reaches_bcrypt(
    passwords: Passwords, hash: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[bytes] = []
    monkeypatch.setattr(bcrypt, "checkpw", lambda password, stored: checked.append(stored))
    assert not passwords.verify(User("1", "todd", hash, False, {}), "x")
    assert len(checked) == 1 and checked[0].startswith(b"$2b$04$")


def test_unknown_users_cost_a_bcrypt_too(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[bytes] = []
    monkeypatch.setattr(bcrypt, "checkpw", lambda password, stored: checked.append(stored))
    passwords.verify(None, "x")
    passwords.verify(None, "x" * 100)
    passwords.verify(None, "a\0b")
    assert len(checked) == 3 and len(set(checked)) == 1


def test_what_was_verified_is_recalled(passwords: Passwords) -> None:
    todd = user(passwords, "x")
    assert not passwords.check_cached(todd, "x")
    assert passwords.verify(todd, "x")
    assert passwords.check_cached(todd, "x")
    assert not passwords.check_cached(todd, "y")
    assert not passwords.check_cached(replace(todd, id="2"), "x") and not passwords.check_cached(
        None, "x"
    )


def test_bcrypt_takes_no_more_cores_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = Passwords(cost=4, max_concurrent=2)
    todd = user(passwords, "x")
    running, most = 0, 0
    lock, both = threading.Lock(), threading.Barrier(2)

    def slow(password: bytes, stored: bytes) -> bool:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        both.wait(10)  # two threads may run bcrypt at once
        with lock:
            running -= 1
        return False

    monkeypatch.setattr(bcrypt, "checkpw", slow)
    threads = [threading.Thread(target=passwords.verify, args=(todd, "y")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 2


def test_a_memory_does_not_outlive_the_password_or_the_user(passwords: Passwords) -> None:
    todd = user(passwords, "x")
    assert passwords.verify(todd, "x")
    assert not passwords.check_cached(replace(todd, hash=passwords.hash("x")), "x")
    assert not passwords.check_cached(replace(todd, id="2"), "x")


def test_memory_is_bounded() -> None:
    passwords = Passwords(cost=4, max_users=2)
    users = [user(passwords, "x", id=str(number)) for number in range(5)]
    for one in users:
        assert passwords.verify(one, "x")
    cached = [passwords.check_cached(one, "x") for one in users]
    assert cached[-2:] == [True, True] and sum(cached) <= 4


def test_neither_hash_nor_password_shows_in_a_repr(passwords: Passwords) -> None:
    todd = user(passwords, "secret")
    passwords.verify(todd, "secret")
    shown = repr(todd) + repr(passwords) + repr(vars(passwords)["_cached"])
    assert todd.hash not in shown and "secret" not in shown


@pytest.mark.parametrize("cost", [3, 15, -1])
def test_a_cost_beyond_reason_is_refused(cost: int) -> None:
    with pytest.raises(ValueError, match="must be 4 to 14"):
        Passwords(cost=cost)
