"""A shared store in several processes: turns, the audit file, acknowledged positions, the mark."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest

from headgate_engine import (
    Audit,
    AuditFile,
    AuditRecord,
    DeniedAttempt,
    OutcomeUnknown,
    PendingTransaction,
    PositionSlot,
    StoreError,
    StoreObserver,
    StoreUnavailable,
    Tx,
)
from headgate_engine.stores.shared.contents import accept_rollback_of_log
from headgate_engine.stores.shared.log import Batch, Loaded, TooOld, Unclear, decoded_head
from headgate_engine.stores.shared.memory_log import Fault, MemoryLog, MemoryLogData
from headgate_engine.stores.shared.state_mark import StateMark
from headgate_engine.stores.shared.store import SharedStore, create_store
from headgate_engine.stores.shared.turns import Turns
from support.waiting import poll_until

HASH = "$2b$04$" + "." * 53
AUDIT = Audit("root", "127.0.0.1", "TEST")


@pytest.fixture
def data() -> MemoryLogData:
    data = MemoryLogData()
    assert create_store(MemoryLog(data))
    return data


def add(name: str) -> Callable[[Tx], None]:
    return lambda tx: tx.add_user(name, HASH, False)


def turns_of(*faults: Fault) -> Callable[[], Fault]:
    """Returns a function that returns each of *faults* in turn, then none."""
    rest = list(faults)
    return lambda: rest.pop(0) if rest else ""


def add_to(store: SharedStore) -> None:
    store.transact(add("other"), AUDIT)


def lines(path: Path) -> list[tuple[int, str]]:
    return [
        (record["id"], record["statement"])
        for record in map(json.loads, path.read_text().splitlines())
    ]


class Observed(StoreObserver):
    """Counts what a store reports."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def _count(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1

    def changed(self, seconds: float) -> None:
        self._count("changed")

    def conflicted(self) -> None:
        self._count("conflicted")

    def left_unknown(self) -> None:
        self._count("unknown")

    def aged(self, seconds: float) -> None:
        self._count("aged")


# ---- Changes together


@pytest.mark.parametrize("fault", ["refused", "lost", "answer lost", "late", "moved"])
def test_changes_together_are_done_once_or_not_at_all(data: MemoryLogData, fault: Fault) -> None:
    with closing(SharedStore(MemoryLog(data))) as other:
        log = MemoryLog(data, turns_of(fault), lambda: add_to(other))
        with closing(SharedStore(log)) as store:
            jobs = [PendingTransaction(add(name), AUDIT) for name in "abc"]
            store.transact_all(jobs)
            names = [user.name for user in store.users()]
            if fault == "refused":
                assert [type(job.error) for job in jobs] == [StoreUnavailable] * 3
                assert names == []
            else:
                assert [job.error for job in jobs] == [None] * 3
                assert sorted(names) == sorted([*"abc"] + ["other"] * (fault == "moved"))
                first = len(names) - 3
                assert [job.revision for job in jobs] == [first + 1, first + 2, first + 3]
            assert store.confirmed_revision() == len(names)


def test_what_is_counted(data: MemoryLogData) -> None:
    lost: list[Fault] = ["lost"] * 10_000
    with closing(SharedStore(MemoryLog(data))) as other:
        log = MemoryLog(data, turns_of("moved", *lost), lambda: add_to(other))
        observed = Observed()
        with closing(SharedStore(log, give_up=0.1, observer=observed)) as store:
            with pytest.raises(OutcomeUnknown):
                store.transact(add("a"), AUDIT)
            counts = observed.counts
            assert (counts["conflicted"], counts["unknown"], counts["changed"]) == (1, 1, 1)


# ---- A log without an answer


class Silent(MemoryLog):
    """A log whose reads of all data may get no answer."""

    silent = 0
    outdated = 0

    def load(self) -> Loaded:
        if self.silent:
            self.silent -= 1
            raise Unclear
        return super().load()

    def follow(self, after: int) -> Iterator[Batch]:
        for batch in super().follow(after):
            if self.silent or self.outdated:
                self.outdated = 0
                raise TooOld
            yield batch


def test_a_load_without_an_answer_is_tried_again(data: MemoryLogData) -> None:
    log = Silent(data)
    log.silent = 3
    with pytest.raises(StoreError, match="no answer"):
        SharedStore(log)
    log = Silent(data)
    log.silent = 3
    with (
        closing(SharedStore(log, start_seconds=20)) as store,
        closing(SharedStore(MemoryLog(data))) as other,
    ):
        other.transact(add("a"), AUDIT)
        poll_until(lambda: store.user("a") is not None, "it does not follow")
        # The follower loads all again, and gets no answer at first.
        log.silent = 2
        other.transact(add("b"), AUDIT)
        poll_until(lambda: store.user("b") is not None, "it no longer follows")


def test_a_store_that_was_made_anew_is_refused_after_a_reload(data: MemoryLogData) -> None:
    log = Silent(data)
    with closing(SharedStore(log)) as store:
        head = decoded_head(data.head or b"")
        data.head = replace(head, epoch="0" * 32).encoded()
        log.outdated = 1
        with closing(SharedStore(MemoryLog(data))) as other:
            other.transact(add("a"), AUDIT)
        poll_until(lambda: is_refused(store), "another store is served")


def is_refused(store: SharedStore) -> bool:
    try:
        store.user("a")
    except StoreUnavailable as error:
        return "replaced by another one" in str(error)
    return False


# ---- Turns


def test_a_writer_waits_for_the_others_and_not_for_ever() -> None:
    now = 0.0
    turns = Turns(lambda: now)
    turns.wait()
    turns.wrote(0.001)
    turns.wait()  # there is no other
    turns.other_wrote("other")
    turns.wrote(0.001)
    began = time.monotonic()
    turns.wait()
    assert time.monotonic() - began >= 0.003
    turns.wrote(0.001)
    answered = threading.Timer(0.0005, turns.other_wrote, ["other"])
    answered.start()
    turns.wait()
    answered.join()
    turns.wrote(0.001)
    now = 1.0
    turns.wait()
    assert turns.writers == 0


# ---- The positions of one machine's processes


def test_a_change_waits_for_the_processes_of_the_machine(data: MemoryLogData) -> None:
    positions = get_context("spawn").RawArray("q", 3)
    slots = [PositionSlot(positions, number) for number in range(3)]
    with (
        closing(SharedStore(MemoryLog(data), slot=slots[0])) as one,
        closing(SharedStore(MemoryLog(data), slot=slots[1])) as two,
    ):
        for number in range(50):
            one.transact(add(f"user{number}"), AUDIT)
            assert two.user(f"user{number}") is not None
        assert positions[0] == positions[1] > 0 == positions[2]
        slots[2].show(1)  # a process that is stuck
        assert not slots[0].wait_for_others(positions[0], 0.01)
        slots[2].clear()
        assert slots[0].wait_for_others(positions[0], 0.01)


# ---- The audit file


def test_the_file_has_each_record_of_this_machine_once(
    data: MemoryLogData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "audit.log"
    monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
    with closing(SharedStore(MemoryLog(data))) as elsewhere:
        monkeypatch.setattr("socket.gethostname", lambda: "here")
        with (
            closing(SharedStore(MemoryLog(data), audit_file=AuditFile(path))) as one,
            closing(SharedStore(MemoryLog(data), audit_file=AuditFile(path))) as two,
            closing(SharedStore(MemoryLog(data))) as shell,
        ):
            one.transact(add("a"), Audit("root", "", "a"))
            elsewhere.transact(add("b"), Audit("root", "", "b"))
            two.transact(add("c"), Audit("root", "", "c"))
            two.record_denied([DeniedAttempt("2026-01-01", "x", "", "d", "refused", 3)])
            shell.transact(add("e"), Audit("root", "", "e"))
            one.export()
            two.export()
    assert lines(path) == [(1, "a"), (3, "c"), (4, "d"), (5, "e")]
    assert path.stat().st_mode & 0o777 == 0o600
    assert Path(f"{path}.mark").stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_written_refuses_changes_and_loses_no_record(
    data: MemoryLogData, tmp_path: Path
) -> None:
    path = tmp_path / "folder" / "audit.log"
    path.parent.mkdir()
    with closing(SharedStore(MemoryLog(data), audit_file=AuditFile(path))) as store:
        store.transact(add("a"), Audit("", "", "a"))
        path.unlink()
        path.mkdir()
        with pytest.raises(StoreUnavailable, match="the audit file cannot be written"):
            store.transact(add("b"), Audit("", "", "b"))
        assert store.user("b") is None
        path.rmdir()
        store.transact(add("c"), Audit("", "", "c"))
    assert lines(path) == [(2, "c")]


def test_a_record_that_could_not_be_appended_comes_before_the_next_change(
    data: MemoryLogData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports: list[str] = []
    file = AuditFile(tmp_path / "audit.log")
    with closing(SharedStore(MemoryLog(data), audit_file=file, report=reports.append)) as store:
        with monkeypatch.context() as patched:

            def fail(records: object) -> None:
                raise OSError(28, "No space left on device")

            patched.setattr(file, "append", fail)
            store.transact(add("a"), Audit("", "", "a"))  # found only when it is made
            assert reports == [
                "store unavailable: the audit file cannot be written: No space left on device"
            ]
            with pytest.raises(StoreUnavailable, match="No space left on device"):
                store.transact(add("b"), Audit("", "", "b"))
        store.transact(add("c"), Audit("", "", "c"))
        assert store.user("b") is None
    assert lines(tmp_path / "audit.log") == [(1, "a"), (2, "c")]


def test_a_file_of_another_store_gets_the_records_of_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    stores = [MemoryLogData(), MemoryLogData()]
    for number, data in enumerate(stores):
        assert create_store(MemoryLog(data))
        with closing(SharedStore(MemoryLog(data), audit_file=AuditFile(path))) as store:
            for name in "abc"[number:]:
                store.transact(add(name), Audit("", "", name))
    assert lines(path) == [(1, "a"), (2, "b"), (3, "c"), (1, "b"), (2, "c")]
    record = AuditRecord(0, 0, "2026-01-01", "", "", "accepted", "ok")
    assert accept_rollback_of_log(MemoryLog(stores[1]), record) == 3
    with closing(SharedStore(MemoryLog(stores[1]), audit_file=AuditFile(path))) as store:
        store.transact(add("d"), Audit("", "", "d"))
    assert lines(path)[5:] == [(1_000_003, "d")]


# ---- The mark of how far the store had come


def test_a_start_notices_a_store_that_went_back(data: MemoryLogData, tmp_path: Path) -> None:
    mark = tmp_path / "store.mark"
    with closing(SharedStore(MemoryLog(data), mark=StateMark(mark))) as store:
        store.transact(add("a"), AUDIT)
        poll_until(
            lambda: mark.exists() and json.loads(mark.read_text())["revision"] == 1,
            "the mark is not written",
        )
    with closing(SharedStore(MemoryLog(data), mark=StateMark(mark))):
        pass
    content = json.loads(mark.read_text())
    mark.write_text(json.dumps(content | {"revision": 7}))
    with pytest.raises(StoreError, match="went back from revision 7 to 1: see `headgate store acc"):
        SharedStore(MemoryLog(data), mark=StateMark(mark))
    mark.write_text(json.dumps({"epoch": "another", "revision": 7}))
    with closing(SharedStore(MemoryLog(data), mark=StateMark(mark))):
        pass
    mark.write_text("{")
    with pytest.raises(StoreError, match="is damaged: remove it"):
        SharedStore(MemoryLog(data), mark=StateMark(mark))


def test_a_mark_that_cannot_be_written_is_reported_once(
    data: MemoryLogData, tmp_path: Path
) -> None:
    reports: list[str] = []
    mark, observed = StateMark(tmp_path / "missing" / "mark"), Observed()
    with closing(
        SharedStore(
            MemoryLog(data), mark=mark, report=reports.append, staleness=0.1, observer=observed
        )
    ):
        poll_until(lambda: observed.counts.get("aged", 0) > 3, "no proofs")
    assert reports == [f"state file {tmp_path}/missing/mark: No such file or directory"]
