"""Keeps a mirror current: follows the log in a thread, and proves in another that it is current."""

import random
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from headgate_engine.errors import StoreError, StoreUnavailable
from headgate_engine.stores.base import Change
from headgate_engine.stores.observer import StoreObserver
from headgate_engine.stores.shared.log import (
    SCHEMA,
    BadHead,
    Batch,
    Entry,
    Head,
    Loaded,
    Log,
    TooOld,
    Unclear,
)
from headgate_engine.stores.shared.mirror import Mirror
from headgate_engine.stores.shared.position_slot import PositionSlot
from headgate_engine.stores.shared.state_mark import StateMark
from headgate_engine.stores.shared.turns import Turns

_PROOF_SECONDS = 0.5
_CATCH_UP_SECONDS = 1.0
_PAUSE_SECONDS = 0.2
_MAX_CHANGES = 10_000
_MISSING = "there is none: make one with `headgate store init` or `headgate store copy`"


class Follower:
    """Follows *log* with `mirror`, at most *staleness* seconds behind. Thread-safe.

    *clock* returns seconds that go on while the machine is suspended. *report* is called with a
    sentence for the log. *turns* is told of the changes of other processes. The position is shown
    in *slot*, and kept in *mark*.
    """

    def __init__(
        self,
        log: Log,
        staleness: float,
        clock: Callable[[], float],
        report: Callable[[str], None],
        observer: StoreObserver,
        *,
        turns: Turns,
        mark: StateMark | None = None,
        slot: PositionSlot | None = None,
    ) -> None:
        self._log, self._staleness, self._clock, self._report = log, staleness, clock, report
        self._observer, self._turns, self._mark, self._slot = observer, turns, mark, slot
        self._mark_error = ""
        self.mirror = Mirror(report)
        self._condition = threading.Condition()
        self._closing = threading.Event()
        # When the mirror was current for certain, by the clock.
        self._confirmed = float("-inf")
        self._fault = ""
        self._changes: deque[Change] = deque(maxlen=_MAX_CHANGES)
        self._threads = [
            threading.Thread(target=self._follow, name="store-follower", daemon=True),
            threading.Thread(target=self._prove_often, name="store-proof", daemon=True),
        ]

    def start(self, seconds: float) -> None:
        """Loads the data, trying for *seconds*, and starts the threads. Raises StoreError."""
        try:
            self._load_within(seconds)
            if not self._fault and self._mark is not None and self.mirror.head is not None:
                self._mark.check(self.mirror.head)
        except (StoreError, StoreUnavailable, BadHead, Unclear) as error:
            self._log.close()
            text = (
                "no answer"
                if isinstance(error, Unclear)
                else "the head of the store cannot be read"
            )
            raise StoreError(str(error) or text) from None
        if self._fault:
            self._log.close()
            raise StoreError(self._fault)
        for thread in self._threads:
            thread.start()
        # Loading may have taken longer than reads may be behind.
        with suppress(StoreUnavailable, Unclear):
            self.prove()

    def _load_within(self, seconds: float) -> None:
        ends_at = self._clock() + seconds
        while True:
            try:
                self._load()
            except (StoreUnavailable, Unclear):
                if self._clock() >= ends_at:
                    raise
                self._closing.wait(_PAUSE_SECONDS)
            else:
                return

    def _load(self) -> None:
        started = self._clock()
        loaded = self._log.load()
        with self._condition:
            known = self.mirror.head
            self._check_loaded(loaded, known)
            self.mirror.load(loaded)
            if self.mirror.head is None:
                self._fault = _MISSING
            else:
                self._check_head(self.mirror.head, known)
            self._confirmed = started
            self._has_moved()

    def _has_moved(self) -> None:
        """Shows the new position to the threads and processes that wait for it."""
        if self._slot is not None:
            self._slot.show(self.mirror.position)
        self._condition.notify_all()

    def _check_loaded(self, loaded: Loaded, known: Head | None) -> None:
        if known is not None and loaded.position < self.mirror.position:
            self._fault = "the store went back to an earlier state"

    def _check_head(self, head: Head, known: Head | None) -> None:
        if head.schema > SCHEMA:
            self._fault = "a newer version of Headgate made the store"
        elif head.state != "ready":
            self._fault = f"the store is not complete: {head.state}"
        elif known is not None and known.epoch != head.epoch:
            self._fault = "the store was replaced by another one"

    def head(self) -> Head:
        """Returns the newest head that is known. Raises StoreUnavailable."""
        self.check()
        head = self.mirror.head
        assert head is not None
        return head

    def check(self) -> None:
        """Raises StoreUnavailable unless the mirror is at most `staleness` seconds old."""
        if self._fault:
            raise StoreUnavailable(self._fault)
        age = self._clock() - self._confirmed
        if age > self._staleness:
            raise StoreUnavailable(f"nothing heard of it for {age:.0f} s")

    @property
    def proof_age(self) -> float:
        """For how many seconds the mirror was not proven current."""
        return self._clock() - self._confirmed

    def wait_until_fresh(self, seconds: float) -> None:
        """Waits, at most *seconds*, if the last proof is older than that. Raises StoreUnavailable.

        A change that the store could not take now fails at once, not after a time-out.
        """
        with self._condition:
            fresh = self._condition.wait_for(
                lambda: self._clock() - self._confirmed <= seconds or self._fault, seconds
            )
        self.check()
        if not fresh:
            raise StoreUnavailable(f"nothing heard of it for {self.proof_age:.0f} s")

    def prove(self) -> int:
        """Returns the position of the log's head, which the mirror has. Raises StoreUnavailable.

        Every change moves the head. So a mirror that has the head has all changes.
        """
        before, started = self.mirror.position, self._clock()
        position = self._log.position()
        if position < before:
            self._set_fault("the store went back to an earlier state")
        self.wait_for(position, _CATCH_UP_SECONDS)
        with self._condition:
            self._confirmed = max(self._confirmed, started)
            self._condition.notify_all()
        self.check()
        return position

    def wait_for(self, position: int, seconds: float) -> None:
        """Waits until the mirror has *position*, at most *seconds*. Raises StoreUnavailable."""
        with self._condition:
            there = self._condition.wait_for(
                lambda: self.mirror.position >= position or self._fault, seconds
            )
        if not there:
            self._log.refollow()
            raise StoreUnavailable("its changes do not arrive")

    def apply_own(self, batch: Batch, sent: float, entry: Entry) -> None:
        """Applies *batch*, a change of this process that was sent at *sent*: a proof, too."""
        with self._condition:
            self._apply(batch, entry.keys, entry.revision)
            self._confirmed = max(self._confirmed, sent)
            self._has_moved()

    def _apply(self, batch: Batch, keys: Sequence[str], revision: int) -> None:
        before = self.mirror.head
        if self.mirror.apply(batch):
            self._note_changes(before, revision, keys)

    def _note_changes(self, before: Head | None, revision: int, keys: Sequence[str]) -> None:
        """Notes what one commit changed, for each of its revisions."""
        first = before.revision + 1 if before is not None else revision
        self._changes += (Change(it, tuple(keys)) for it in range(first, revision + 1))

    def changes(self, since: int) -> Sequence[Change] | None:
        """Returns the changes after the revision *since*, or None if some are not known."""
        newest = self.head().revision
        with self._condition:
            found = [it for it in self._changes if it.revision > since]
        return found if len(found) >= newest - since else None

    def wait(self, since: int, timeout: float) -> int:
        """Waits for a revision after *since*, at most *timeout* seconds. Returns the newest."""
        with self._condition:
            self._condition.wait_for(lambda: self.head().revision > since, timeout)
        return self.head().revision

    def _follow(self) -> None:
        """Applies the changes of the log, until `close`."""
        while not self._closing.is_set():
            try:
                for batch in self._log.follow(self.mirror.position):
                    with self._condition:
                        self._apply_foreign(batch)
                        self._has_moved()
                if not self._closing.is_set():
                    self._observer.refollowed()
            except (TooOld, BadHead) as error:
                self._reload(error)
            except (StoreUnavailable, StoreError, Unclear):
                self._observer.refollowed()
                self._closing.wait(_PAUSE_SECONDS)

    def _apply_foreign(self, batch: Batch) -> None:
        before = self.mirror.head
        if not self.mirror.apply(batch):
            return
        head = self.mirror.head
        assert head is not None
        self._check_head(head, before)
        self._turns.other_wrote(head.txn.rpartition(" ")[0])
        self._note_changes(before, head.revision, _changed_names(batch))

    def _reload(self, error: Exception) -> None:
        if isinstance(error, BadHead):
            self._set_fault("the head of the store cannot be read: another program has written it")
            self._closing.wait(_PAUSE_SECONDS)
            return
        try:
            self._load()
            self._changes.clear()
            self._observer.reloaded()
        except (StoreUnavailable, StoreError, Unclear):
            self._closing.wait(_PAUSE_SECONDS)
        except BadHead as fault:
            self._reload(fault)

    def _set_fault(self, sentence: str) -> None:
        with self._condition:
            if not self._fault:
                self._report(f"the store is refused: {sentence}")
            self._fault = self._fault or sentence
            self._condition.notify_all()

    def _prove_often(self) -> None:
        pause = min(_PROOF_SECONDS, self._staleness / 10)
        while not self._closing.wait(pause * random.uniform(0.8, 1.2)):  # noqa: S311 - no secret
            try:
                self.prove()
            except (StoreUnavailable, Unclear):
                self._observer.aged(self.proof_age)
            else:
                self._observer.aged(self.proof_age)
                self._keep_mark()

    def _keep_mark(self) -> None:
        head = self.mirror.head
        if self._mark is None or head is None:
            return
        try:
            self._mark.keep(head)
            self._mark_error = ""
        except StoreError as error:
            if str(error) != self._mark_error:  # reported once, not twice a second
                self._report(str(error))
            self._mark_error = str(error)

    def close(self) -> None:
        """Ends the threads, and closes the log."""
        self._closing.set()
        self._log.close()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(_CATCH_UP_SECONDS * 2)


def _changed_names(batch: Batch) -> tuple[str, ...]:
    """Returns the names of the users and databases that *batch* writes, as `Change` has them."""
    kinds = {"u/": "user:", "d/": "database:"}
    return tuple(f"{kinds[key[:2]]}{key[2:]}" for key in batch.writes if key[:2] in kinds)
