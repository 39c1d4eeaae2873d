"""Changes in one transaction have the same results as changes in separate transactions."""

import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from headgate_engine import (
    Audit,
    PendingTransaction,
    SqliteStore,
    Store,
    StoreUnavailable,
    Tx,
    UserExists,
)
from support.waiting import poll_until

HASH = "$2b$04$" + "." * 53


def add(name: str) -> Callable[[Tx], Any]:
    def step(tx: Tx) -> str:
        if tx.user(name) is not None:
            raise UserExists
        tx.add_user(name, HASH, False)
        return name

    return step


def half(name: str) -> Callable[[Tx], Any]:
    """Returns a change that adds a user, and then raises UserExists."""

    def step(tx: Tx) -> None:
        tx.add_user(name, HASH, False)
        raise UserExists

    return step


def jobs(*changes: Callable[[Tx], Any]) -> list[PendingTransaction]:
    return [
        PendingTransaction(change, Audit("root", "", f"change {n}"))
        for n, change in enumerate(changes)
    ]


@pytest.fixture
def file_store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "users.db")
    yield opened
    opened.close()


def test_each_has_its_result_its_revision_and_its_record(store: Store) -> None:
    made = jobs(add("a"), add("b"), add("c"))
    before = store.confirmed_revision()
    store.transact_all(made)
    assert [(job.result, job.revision, job.error) for job in made] == [
        ("a", before + 1, None),
        ("b", before + 2, None),
        ("c", before + 3, None),
    ]
    assert store.confirmed_revision() == before + 3
    assert [one.statement for one in store.audit()] == ["change 0", "change 1", "change 2"]


def test_what_one_may_not_leaves_no_trace_and_the_others_alone(store: Store) -> None:
    made = jobs(add("a"), half("b"), add("a"), add("c"))
    store.transact_all(made)
    assert [type(job.error) for job in made] == [type(None), UserExists, UserExists, type(None)]
    assert [user.name for user in store.users()] == ["a", "c"]
    assert [one.statement for one in store.audit()] == ["change 0", "change 3"]


def test_five_hundred_changes_go_together(store: Store) -> None:
    made = jobs(*(add(f"user{number}") for number in range(500)))
    before = store.confirmed_revision()
    store.transact_all(made)
    assert {job.error for job in made} == {None}
    assert [job.revision for job in made] == [before + number for number in range(1, 501)]
    assert [record.revision for record in store.audit()][-500:] == [job.revision for job in made]
    changes = store.changes(before)
    assert changes is not None and [it.revision for it in changes] == [it.revision for it in made]


def test_changes_that_change_nothing_have_the_revision_before_them(store: Store) -> None:
    made = jobs(lambda tx: tx.user("none"), add("a"), lambda tx: tx.user("a"), add("a"))
    before = store.confirmed_revision()
    store.transact_all(made)
    assert [job.revision - before for job in made[:3]] == [0, 1, 1]
    assert isinstance(made[3].error, UserExists) and len(store.audit()) == 1


def test_what_the_store_cannot_take_of_one_is_the_fault_of_that_one_alone(
    file_store: SqliteStore,
) -> None:
    def impossible(tx: Tx) -> None:
        tx.add_user("", HASH, False)  # violates a constraint of the SQL table

    made = jobs(add("a"), impossible, add("c"))
    file_store.transact_all(made)
    assert [type(job.error) for job in made] == [type(None), StoreUnavailable, type(None)]
    assert [user.name for user in file_store.users()] == ["a", "c"]


def test_nothing_is_done_where_the_store_is_away(tmp_path: Path, file_store: SqliteStore) -> None:
    (tmp_path / "users.db").rename(tmp_path / "elsewhere.db")
    made = jobs(add("a"), add("b"))
    file_store.transact_all(made)
    assert all(isinstance(job.error, StoreUnavailable) for job in made)


def test_others_see_what_is_done_at_once_and_without_a_mark_soon(
    tmp_path: Path, file_store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = SqliteStore(tmp_path / "users.db")
    assert file_store.user("a") is None
    other.transact_all(jobs(add("a")))
    assert file_store.user("a") is not None
    # A kill between the commit and the high-water mark (the last acknowledged revision, in
    # `<store>.lock`): the client has received no success response.
    monkeypatch.setattr(other._revision_file, "set_high_water_mark", lambda epoch, revision: None)

    def rename(tx: Tx) -> None:
        user = tx.user("a")
        assert user is not None
        tx.put_user(user, hash=HASH, admin=True)

    other.transact_all(jobs(rename))

    def is_admin() -> bool:
        user = file_store.user("a")
        return user is not None and user.admin

    poll_until(is_admin, "a change without a mark is never seen", 2)
    other.close()


def test_a_mark_that_was_cut_off_only_makes_readers_look(
    tmp_path: Path, file_store: SqliteStore
) -> None:
    file_store.transact_all(jobs(add("a")))
    assert file_store.user("a") is not None
    (tmp_path / "users.db.lock").write_bytes(b"")
    assert file_store.user("a") is not None
    file_store.transact_all(jobs(add("b")))
    assert file_store.user("b") is not None


def test_a_change_that_rests_on_an_unmarked_one_marks_it(
    tmp_path: Path, file_store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed, reader = SqliteStore(tmp_path / "users.db"), SqliteStore(tmp_path / "users.db")
    file_store.transact_all(jobs(add("a")))
    with monkeypatch.context() as patched:
        patched.setattr(killed._revision_file, "set_high_water_mark", lambda epoch, revision: None)
        user = killed.user("a")
        assert user is not None and reader.user("a") is not None
        killed.transact_all(jobs(lambda tx: tx.drop_user(user)))
    # A repeated request changes nothing, but writes the missing high-water mark to `<store>.lock`.
    file_store.transact_all(jobs(lambda tx: tx.user("a")))
    assert reader.user("a") is None
    killed.close()
    reader.close()


def test_within_a_moment_the_store_is_asked_only_once(
    tmp_path: Path, file_store: SqliteStore
) -> None:
    other = SqliteStore(tmp_path / "users.db")
    other.transact_all(jobs(add("a")))
    with file_store.snapshot() as moment:
        was = file_store.user("a")
        assert was is not None
        moment.cache("key", "made")
        other.transact_all(jobs(lambda tx: tx.drop_user(was)))
        assert file_store.user("a") is was
    assert file_store.user("a") is None
    with file_store.snapshot() as later:
        assert later.cached("key") is None
    other.close()


def test_a_mark_that_cannot_be_read_is_a_store_that_cannot(
    file_store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> bytes:
        raise OSError(errno.EIO, "the disk fails")

    monkeypatch.setattr(file_store._revision_file, "high_water_mark", fail)
    for ask in (
        file_store.snapshot,
        lambda: file_store.user("a"),
        lambda: file_store.prefetch_users(["a"]),
    ):
        with pytest.raises(StoreUnavailable, match="cannot read"):
            ask()
