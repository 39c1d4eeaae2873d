"""A store that several machines share: faults of its log, two stores on one log, its records."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Any

import pytest

from headgate_engine import (
    Audit,
    AuthenticationFailed,
    Engine,
    OutcomeUnknown,
    Passwords,
    StoreError,
    StoreUnavailable,
)
from headgate_engine.stores.shared.log import (
    Batch,
    Loaded,
    TooOld,
    decoded_head,
)
from headgate_engine.stores.shared.memory_log import Fault, MemoryLog, MemoryLogData
from headgate_engine.stores.shared.store import SharedStore, create_store
from headgate_grammar import Privilege
from support.counter import count_up, counted
from support.waiting import poll_until

HASH = "$2b$04$" + "." * 53
AUDIT = Audit("root", "127.0.0.1", "TEST")


def opened(data: MemoryLogData, **options: Any) -> SharedStore:
    return SharedStore(MemoryLog(data), **options)


@pytest.fixture
def data() -> MemoryLogData:
    data = MemoryLogData()
    assert create_store(MemoryLog(data))
    return data


@pytest.fixture
def two(data: MemoryLogData) -> Iterator[tuple[SharedStore, SharedStore]]:
    with ExitStack() as stack:
        first, second = (stack.enter_context(closing(opened(data))) for _ in range(2))
        yield first, second


FAULTS: tuple[Fault, ...] = ("refused", "lost", "answer lost", "late", "moved")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("at", range(6))
def test_a_change_is_done_exactly_once_whatever_goes_wrong(
    data: MemoryLogData, fault: Fault, at: int
) -> None:
    commits = 0
    with closing(opened(data)) as other:

        def next_fault() -> Fault:
            nonlocal commits
            commits += 1
            return fault if commits == at + 1 else ""

        def meanwhile() -> None:
            other.transact(count_up, AUDIT)

        with closing(SharedStore(MemoryLog(data, next_fault, meanwhile))) as store:
            results, unavailable = list[int](), 0
            for _ in range(6):
                try:
                    results.append(store.transact(count_up, AUDIT)[0])
                except StoreUnavailable:
                    unavailable += 1
            done = counted(store)
            assert len(results) + (fault == "moved") == done
            assert (unavailable, results[-1]) == (fault == "refused", done)
            assert store.confirmed_revision() == done
            records = store.audit()
            assert [it.id for it in records] == list(range(1, done + 1))
            assert [it.revision for it in records] == list(range(1, done + 1))
        poll_until(lambda: counted(other) == done, "the other store does not follow")


@pytest.mark.parametrize(
    ("faults", "is_done"),
    [(("lost",) * 99, False), (("answer lost", *["lost"] * 98), True)],
)
def test_without_any_answer_the_outcome_is_unknown(
    data: MemoryLogData, faults: tuple[Fault, ...], is_done: bool
) -> None:
    turns = iter(faults * 100)
    log = MemoryLog(data, lambda: next(turns))
    with closing(SharedStore(log, give_up=0.1)) as store:
        with pytest.raises(OutcomeUnknown):
            store.transact(count_up, AUDIT)
        store.confirmed_revision()
        assert counted(store) == int(is_done)


def test_two_stores_see_each_other_at_the_next_change(
    two: tuple[SharedStore, SharedStore],
) -> None:
    for number in range(1, 41):
        assert two[number % 2].transact(count_up, AUDIT) == (number, number)
    poll_until(lambda: [counted(it) for it in two] == [40, 40], "a store does not follow")
    changes = two[0].changes(0)
    assert changes is not None and [it.revision for it in changes] == list(range(1, 41))
    assert {it.keys for it in changes} == {("user:counter",)}


def test_a_change_that_changes_nothing_is_no_old_answer(
    two: tuple[SharedStore, SharedStore],
) -> None:
    engines = [Engine(store, Passwords(4)) for store in two]
    for number in range(20):
        engines[number % 2].create_user(f"user{number}", "s3cret")
        # The other store may not have the user yet, and must not say so.
        engines[1 - number % 2].drop_user(f"user{number}")
        engines[number % 2].create_database("shop")


def test_a_user_is_one_object_until_it_changes(two: tuple[SharedStore, SharedStore]) -> None:
    first, second = two
    engine = Engine(first, Passwords(4))
    engine.create_user("todd", "s3cret")
    engine.create_database("shop")
    assert first.user("todd") is first.user("todd")
    engine.grant(Privilege.READ, "shop", "todd")
    user = first.user("todd")
    assert user is not None and dict(user.grants) == {"shop": Privilege.READ}
    engine.drop_database("shop")
    engine.create_database("shop")
    assert dict(getattr(first.user("todd"), "grants")) == {}  # noqa: B009 - may be None
    poll_until(lambda: second.confirmed_revision() == first.confirmed_revision(), "not followed")
    with pytest.raises(AuthenticationFailed):
        Engine(second, Passwords(4)).authenticate("todd", "wrong")


def test_a_log_that_is_away_is_told_after_the_bound_and_comes_back(data: MemoryLogData) -> None:
    log = MemoryLog(data)
    with closing(SharedStore(log, staleness=0.3)) as store:
        store.transact(count_up, AUDIT)
        log.is_away = True
        with pytest.raises(StoreUnavailable):
            store.transact(count_up, AUDIT)

        def is_refused() -> bool:
            try:
                return store.user("counter") is None
            except StoreUnavailable as error:
                return "nothing heard of it" in str(error)

        poll_until(is_refused, "an old answer is given")
        with pytest.raises(StoreUnavailable):
            store.transact(count_up, AUDIT)
        log.is_away = False
        poll_until(lambda: not is_refused(), "the store does not come back")
        assert store.transact(count_up, AUDIT)[0] == 2


def test_a_change_whose_answer_was_lost_is_seen_at_once_though_nothing_arrives(
    data: MemoryLogData,
) -> None:
    log = ForgetfulLog(data)
    log.next_fault = "answer lost"
    with closing(SharedStore(log)) as store:
        assert store.transact(count_up, AUDIT) == (1, 1) and counted(store) == 1
        log.released.set()


class ForgetfulLog(MemoryLog):
    """Holds back the changes until `is_released`; then it has forgotten them."""

    next_fault: Fault = ""

    def __init__(self, data: MemoryLogData) -> None:
        super().__init__(data, self._fault_once)
        self.released = threading.Event()

    def _fault_once(self) -> Fault:
        fault, self.next_fault = self.next_fault, ""
        return fault

    def follow(self, after: int) -> Iterator[Batch]:
        if not self.released.is_set():
            self.released.wait(20)
            raise TooOld
        yield from super().follow(after)


def test_a_store_that_missed_what_the_log_forgot_loads_all_of_it(data: MemoryLogData) -> None:
    log = ForgetfulLog(data)
    with closing(opened(data)) as store, closing(SharedStore(log)) as other:
        for _ in range(20):
            store.transact(count_up, AUDIT)
        assert counted(other) == 0
        log.released.set()
        poll_until(lambda: counted(other) == 20, "the store does not load again")
        assert other.transact(count_up, AUDIT)[0] == 21
        assert other.changes(20) is not None and other.changes(3) is None


def test_a_store_is_never_made_by_opening_it() -> None:
    data = MemoryLogData()
    with pytest.raises(StoreError, match="there is none"):
        opened(data)
    assert data.head is None
    assert create_store(MemoryLog(data)) and not create_store(MemoryLog(data))


def went_back(data: MemoryLogData) -> None:
    data.position -= 1


def replaced(data: MemoryLogData) -> None:
    put_head(data, epoch="another")


def newer(data: MemoryLogData) -> None:
    put_head(data, schema=99)


def copying(data: MemoryLogData) -> None:
    put_head(data, state="copying")


def foreign(data: MemoryLogData) -> None:
    write(data, b'["another program"]')


def put_head(data: MemoryLogData, **members: Any) -> None:
    assert data.head is not None
    write(data, replace(decoded_head(data.head), **members).encoded())


def write(
    data: MemoryLogData, head: bytes, writes: Mapping[str, bytes | None] | None = None
) -> None:
    with data.condition:
        data.head, data.position = head, data.position + 1
        data.batches.append(Batch(data.position, head, writes or {}))
        data.condition.notify_all()


REFUSED: dict[str, tuple[Callable[[MemoryLogData], None], bool]] = {
    # What happens, the words of the refusal, and whether a new start is refused as well.
    "the store went back": (went_back, False),
    "was replaced by another": (replaced, False),
    "a newer version of Headgate": (newer, True),
    "not complete: copying": (copying, True),
    "the head of the store cannot be read": (foreign, True),
}


@pytest.mark.parametrize("words", REFUSED)
def test_a_store_that_is_no_longer_the_same_is_refused(data: MemoryLogData, words: str) -> None:
    happens, at_start = REFUSED[words]
    with closing(opened(data, staleness=1.0)) as store:
        store.transact(count_up, AUDIT)
        happens(data)

        def refusal() -> str:
            try:
                store.user("counter")
            except StoreUnavailable as error:
                return str(error)
            return ""

        poll_until(lambda: words in refusal(), "the store is served")
        with pytest.raises(StoreUnavailable, match=words):
            store.transact(count_up, AUDIT)
    if at_start:
        with pytest.raises(StoreError, match=words if words != "the head" else ""):
            opened(data).close()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b'{"name": 1}',
        b'{"grants":{"3":9},"profile":{},"identities":[]}',
        b"\xff",
    ],
)
def test_a_record_that_cannot_be_read_is_no_user_and_is_reported(
    data: MemoryLogData, text: bytes
) -> None:
    reports: list[str] = []
    with closing(opened(data)) as store:
        Engine(store, Passwords(4)).create_user("todd", "s3cret")
    data.values["u/ann"] = text
    data.values["z/unknown kind"] = text
    with closing(opened(data, report=reports.append)) as store:
        assert [it.name for it in store.users()] == ["todd"] and store.user("ann") is None
        assert len(reports) == 1 and "'u/ann'" in reports[0]


def test_a_damaged_record_that_arrives_does_not_end_the_following(data: MemoryLogData) -> None:
    reports: list[str] = []
    with closing(opened(data)) as writer, closing(opened(data, report=reports.append)) as store:
        engine = Engine(writer, Passwords(4))
        engine.create_user("todd", "s3cret")
        poll_until(lambda: store.user("todd") is not None, "the store does not follow")
        text = data.values["u/todd"]
        damaged: dict[str, bytes | None] = {
            "u/todd": text.replace(b'"grants":{}', b'"grants":{"x":1}'),
            "u/ann": text.replace(b'"id":"1"', b'"id":"one"'),
            "k/7": b'{"owner_id":"1","owner":"todd","name":"n","prefix":"","hash":"",'
            b'"created_at":1,"created_by":"","id":"7","imported":"no number","scope":'
            b'{"admin":false,"everywhere":1,"grants":{}}}',
        }
        assert damaged["u/todd"] != text and damaged["u/ann"] != text
        write(data, data.head or b"", damaged)
        poll_until(lambda: len(reports) == 3, "the damage is not reported")
        engine.create_user("bob", "s3cret")
        poll_until(lambda: store.user("bob") is not None, "the store follows no more")
        assert store.user("todd") is None and store.user("ann") is None


def test_members_of_a_newer_version_are_kept(data: MemoryLogData) -> None:
    with closing(opened(data)) as store:
        engine = Engine(store, Passwords(4))
        engine.create_user("todd", "s3cret")
        engine.create_database("shop")
    text = data.values["u/todd"]
    data.values["u/todd"] = text[:-1] + b',"colour":"blue"}'
    with closing(opened(data)) as store:
        Engine(store, Passwords(4)).grant(Privilege.READ, "shop", "todd")
    assert b'"colour":"blue"' in data.values["u/todd"]


def test_a_store_that_takes_long_to_load_can_be_read_at_once() -> None:
    now = [1000.0]

    class SlowLog(MemoryLog):
        def load(self) -> Loaded:
            loaded = super().load()
            now[0] += 60
            return loaded

    data = MemoryLogData()
    assert create_store(MemoryLog(data))
    with closing(SharedStore(SlowLog(data), clock=lambda: now[0])) as store:
        assert store.empty()
