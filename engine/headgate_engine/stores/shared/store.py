"""A user store that several machines share: reads are from memory, changes go through a log.

One value of the log, the head, is compared and replaced by each change. So changes are in one
order, revisions and audit ids have no holes, and a read of the head's position proves that the
memory is current.
"""

import random
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

from headgate_engine.errors import (
    ChangeTooLarge,
    OutcomeUnknown,
    StoreError,
    StoreUnavailable,
)
from headgate_engine.model.audit import Audit, AuditRecord, DeniedAttempt
from headgate_engine.stores.account_base import UpkeepTx
from headgate_engine.stores.audit_file import AuditFile
from headgate_engine.stores.base import (
    Change,
    KnownLogin,
    PendingTransaction,
    Tx,
)
from headgate_engine.stores.group_commit import commit_one
from headgate_engine.stores.login_delays import LoginDelays
from headgate_engine.stores.memory_logins import MemoryLogins
from headgate_engine.stores.observer import StoreObserver
from headgate_engine.stores.shared.audit_export import AuditExport
from headgate_engine.stores.shared.follower import Follower
from headgate_engine.stores.shared.log import (
    MAX_ENTRY_RECORDS,
    Batch,
    Entry,
    Head,
    Log,
    Moved,
    Unclear,
)
from headgate_engine.stores.shared.position_slot import PositionSlot
from headgate_engine.stores.shared.reads import SharedReads
from headgate_engine.stores.shared.state_mark import StateMark
from headgate_engine.stores.shared.transaction import SharedTx
from headgate_engine.stores.shared.turns import Turns

T = TypeVar("T")

_GIVE_UP_SECONDS = 5.0
_FRESH_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 0.01
# A process of this machine that is stuck delays a change for this long at most.
_ACKNOWLEDGE_SECONDS = 1.0


def boot_clock() -> float:
    """Returns the seconds since the machine has started; they go on while it is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def create_store(log: Log) -> bool:
    """Makes an empty store in *log*. Returns False if it has a store. Raises StoreError."""
    try:
        return log.create(Head(secrets.token_hex(16)).encoded())
    except Unclear:
        raise StoreError("no answer: the store may have been made, try again") from None


class SharedStore(SharedReads):
    """Implements `Store` over *log*, with all data in memory. Thread-safe.

    Reads are at most *staleness* seconds behind changes of other processes, and raise
    StoreUnavailable if that cannot be known. They are never behind changes of this process. A
    change gives up after *give_up* seconds. The log may be away for *start_seconds* at the start.

    *report* is called with a sentence for the log. *audit_file* receives the audit records of this
    machine's processes: a change is refused while it cannot be written. *mark* is a file by which a
    start notices a store that went back. *slot* is this process's among those of this machine: a
    change returns when the others have it, after 1 second at most.

    `close` ends the threads. Raises StoreError if the log has no store that can be served.
    """

    def __init__(
        self,
        log: Log,
        *,
        staleness: float = 5.0,
        give_up: float = _GIVE_UP_SECONDS,
        start_seconds: float = 0.0,
        clock: Callable[[], float] = boot_clock,
        report: Callable[[str], None] = lambda sentence: None,
        observer: StoreObserver | None = None,
        audit_file: AuditFile | None = None,
        mark: StateMark | None = None,
        slot: PositionSlot | None = None,
    ) -> None:
        self._observer = observer or StoreObserver()
        machine = "".join(socket.gethostname().split())[:64]
        self._server = f"{machine} {secrets.token_hex(4)}"
        self._turns = Turns(clock, self._server)
        follower = Follower(
            *(log, staleness, clock, report, self._observer),
            turns=self._turns,
            mark=mark,
            slot=slot,
        )
        super().__init__(follower)
        self._log, self._give_up, self._clock, self._slot = log, give_up, clock, slot
        self._export = (
            AuditExport(
                *(audit_file, machine, log.entries, lambda: follower.head().epoch),
                self._observer.audit_file_failed,
            )
            if audit_file is not None
            else None
        )
        self._report = report
        self._writer = threading.Lock()
        self._logins = MemoryLogins(
            lambda: {record.user.id for record in follower.mirror.tables.users.all()}
        )
        follower.start(start_seconds)
        self._delays = LoginDelays(log.publish_delay, log.delays, lambda: follower.head().epoch)
        self._delays.start()
        if slot is None or slot.number == 0:  # one of the processes says it
            with suppress(StoreUnavailable):
                if advice := log.advice():
                    report(advice)

    def transact(self, change: Callable[[Tx], T], audit: Audit) -> tuple[T, int]:
        """Runs *change*, and writes it with its audit record."""
        return commit_one(self._run_jobs, change, audit, self._observer)

    def transact_all(self, jobs: Sequence[PendingTransaction]) -> None:
        """Runs *jobs* together, in several commits if one cannot take them all."""
        began = time.perf_counter()
        self._run_all(jobs)
        for _ in jobs:
            self._observer.changed(time.perf_counter() - began)

    def _run_all(self, jobs: Sequence[PendingTransaction]) -> None:
        try:
            self._run_jobs(jobs)
        except ChangeTooLarge as error:
            if len(jobs) > 1:
                self._run_all(jobs[: len(jobs) // 2])
                self._run_all(jobs[len(jobs) // 2 :])
            else:
                jobs[0].error = error
        except Exception as error:
            for job in jobs:
                job.error = error

    def _run_jobs(self, jobs: Sequence[PendingTransaction]) -> None:
        """Runs *jobs* in one commit, and stores the result or error of each in its job."""
        made: list[Audit] = []

        def run(tx: SharedTx) -> None:
            made.clear()
            for job in jobs:
                job.error, undo, keys = None, tx.savepoint(), len(tx.keys)
                try:
                    job.result = job.change(tx)
                except (StoreUnavailable, OutcomeUnknown):
                    raise  # an error of the whole group
                except Exception as error:
                    job.error = error
                    undo()
                if len(tx.keys) > keys:
                    made.append(job.audit)
                else:
                    undo()
                job.revision = len(made)

        def records(head: Head) -> Sequence[AuditRecord]:
            now = datetime.now(UTC).isoformat(timespec="microseconds")
            return [
                AuditRecord(
                    *(head.audit + number, head.revision + number, now),
                    *(it.actor, it.address, it.statement, "ok"),
                )
                for number, it in enumerate(made, 1)
            ]

        with self._writer:
            _, newest = self._change(run, records)
        for job in jobs:
            job.revision += newest - len(made)

    def upkeep(self, change: Callable[[UpkeepTx], T]) -> T:
        """Runs *change*, which makes no revision and no audit record."""
        with self._writer:
            return self._change(change, None)[0]

    def export(self) -> None:
        """Appends to the audit file the records of this machine that it lacks."""
        if self._export is not None:
            self._export.run()

    def other_writers(self) -> int:
        """Returns how many other processes wrote within 0.2 seconds."""
        return self._turns.writers

    def login_delays(self) -> LoginDelays:
        """Returns the delays of logins that other servers publish."""
        return self._delays

    def record_denied(self, attempts: Sequence[DeniedAttempt]) -> None:
        """Appends *attempts* to the audit."""
        for place in range(0, len(attempts), MAX_ENTRY_RECORDS):
            some = attempts[place : place + MAX_ENTRY_RECORDS]

            def records(head: Head, some: Sequence[DeniedAttempt] = some) -> Sequence[AuditRecord]:
                return [
                    AuditRecord(
                        *(head.audit + number, 0, it.time, it.actor, it.address),
                        *(it.statement, it.outcome, it.count),
                    )
                    for number, it in enumerate(some, 1)
                ]

            with self._writer:
                self._change(lambda tx: None, records, always=True)

    def prune_audit(self, before: str) -> None:
        """Deletes audit records older than *before* (RFC 3339, UTC); the newest record stays."""
        self._log.forget(before)

    def _change(
        self,
        change: Callable[[SharedTx], T],
        audit: Callable[[Head], Sequence[AuditRecord]] | None,
        *,
        always: bool = False,
    ) -> tuple[T, int]:
        """Runs *change* until it is committed at the mirror's position.

        *audit* returns the audit records, one for each new revision; None makes no revision. With
        *always*, the records are written although nothing else is, and make no revision. Returns
        the result, and the newest revision.
        """
        follower, ends_at, tries = self.follower, self._clock() + self._give_up, 0
        follower.wait_until_fresh(_FRESH_SECONDS)
        if self._export is not None:
            self._export.check()
        self._turns.wait()
        while True:
            position, head = follower.mirror.position, follower.head()
            tx = SharedTx(follower.mirror)
            # An answer without a change is about the store, too: it must not be an old one.
            try:
                result = change(tx)
            except Exception:
                if follower.prove() == position:
                    raise
            else:
                writes = tx.writes() if tx.keys or audit is None else {}
                if not writes and not always:
                    if follower.prove() == position:
                        return result, head.revision
                else:
                    self._check_size(writes)
                    records = tuple(audit(head)) if audit is not None else ()
                    entry, new = self._prepared(tx, head, records, 0 if always else len(records))
                    sent = self._clock()
                    if self._commit(position, new, writes, entry, ends_at):
                        self._turns.wrote(self._clock() - sent)
                        self._acknowledge()
                        return result, new.revision
            if self._clock() >= ends_at:
                raise StoreUnavailable("other changes always came first, try again")
            self._observer.conflicted()
            tries += 1
            if tries > 1:
                time.sleep(random.uniform(0, _LONGEST_PAUSE_SECONDS))  # noqa: S311 - no secret

    def _acknowledge(self) -> None:
        """Waits until the other processes of this machine have the change that was just made."""
        if self._slot is not None:
            self._slot.wait_for_others(self.follower.mirror.position, _ACKNOWLEDGE_SECONDS)
        if self._export is not None:
            try:
                self._export.run()
            except StoreUnavailable as error:  # the change is made: the next one is refused
                self._report(str(error))

    def _check_size(self, writes: Mapping[str, bytes | None]) -> None:
        """Raises ChangeTooLarge for a change that the log does not take at once."""
        size = sum(len(key.encode()) + len(value or b"") for key, value in writes.items())
        if len(writes) > self._log.max_writes or size > self._log.max_bytes:
            raise ChangeTooLarge(len(writes), size)

    def _prepared(
        self, tx: SharedTx, head: Head, records: tuple[AuditRecord, ...], revisions: int
    ) -> tuple[Entry, Head]:
        """Returns the entry and the head for the changes of *tx* after *head*."""
        txn = f"{self._server} {secrets.token_hex(8)}"
        new = replace(
            head,
            revision=head.revision + revisions,
            audit=head.audit + len(records),
            last_id=tx.last_id,
            number=head.number + 1,
            txn=txn,
        )
        keys = tuple(dict.fromkeys(tx.keys)) if revisions else ()
        return Entry(new.number, txn, new.audit, records, keys, new.revision), new

    def _commit(
        self,
        at: int,
        head: Head,
        writes: Mapping[str, bytes | None],
        entry: Entry,
        ends_at: float,
    ) -> bool:
        """Commits *writes*. Returns False if another change came first: nothing was done.

        Raises StoreUnavailable if nothing was done, and OutcomeUnknown. Without an answer, the same
        change is sent again: it can be done once only, because it moves the head.
        """
        encoded, sent, is_unclear = head.encoded(), self._clock(), False
        while True:
            try:
                position = self._log.commit(at, encoded, writes, entry)
            except Moved as moved:
                if moved.entry is None or moved.entry.txn != entry.txn:
                    self.follower.wait_for(moved.head, _FRESH_SECONDS)
                    return False
                # An earlier try was done, directly after the change that the mirror has.
                self.follower.apply_own(Batch(moved.position, encoded, writes), sent, entry)
                return True
            except Unclear:
                is_unclear = True
            except StoreUnavailable:
                if not is_unclear:
                    raise
            else:
                self.follower.apply_own(Batch(position, encoded, writes), sent, entry)
                return True
            if self._clock() >= ends_at:
                self._observer.left_unknown()
                raise OutcomeUnknown("no answer from the store: the change may have been made")
            time.sleep(random.uniform(0, _LONGEST_PAUSE_SECONDS))  # noqa: S311 - no secret

    def remember_logins(self, logins: Sequence[KnownLogin]) -> None:
        """Keeps *logins* in this process: they are no part of the shared data."""
        with self._writer:
            self._logins.remember(logins)

    def known_logins(self, limit: int) -> Sequence[KnownLogin]:
        """Returns at most *limit* logins of existing users, the newest first."""
        with self._writer:
            return self._logins.newest(limit)

    def changes(self, since: int) -> Sequence[Change] | None:
        """Returns the changes after the revision *since*; None if they are no longer known."""
        return self.follower.changes(since)

    def wait(self, since: int, timeout: float) -> int:
        """Waits until the newest revision is greater than *since*, at most *timeout* seconds."""
        return self.follower.wait(since, timeout)

    def confirmed_revision(self) -> int:
        """Returns the newest revision, as the log has it now."""
        self.follower.prove()
        return self.follower.head().revision

    def close(self) -> None:
        """Ends the threads, and closes the log."""
        self.follower.close()
        self._delays.close()
