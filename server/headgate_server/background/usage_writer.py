"""Stores when users, API keys and sessions were used last, without delaying a request."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from headgate_engine import (
    ApiKey,
    Engine,
    OutcomeUnknown,
    Principal,
    ShownSession,
    StoreUnavailable,
    UpkeepTx,
)
from headgate_grammar import GenerationalCache
from headgate_server.background.thread_pool import FairThreadPool
from headgate_server.http.errors import Overloaded
from headgate_server.telemetry.logging import log_task_error

_FLUSH_SECONDS = 1.0
# A use is stored if the stored one is as old.
_INTERVAL_SECONDS = 300
_MAX_ENTRIES = 100_000
_FIRST_CLEAN_SECONDS, _CLEAN_SECONDS = 60.0, 3600.0
_REVOKED_KEY_SECONDS = 30 * 86_400
_SIGN_UP_SECONDS = 30 * 86_400  # that an account waits for approval
_MAX_UNSAVED = 10_000


@dataclass(slots=True)
class _KeyUse:
    """The last use of a key: the time, and the client's address."""

    at: int
    address: str


class UsageWriter:
    """Gathers uses, and writes them once a second, in its own thread.

    A crash loses the uses of the last second. If the store cannot be written, they are dropped.
    Call the methods in the event loop's thread.
    """

    def __init__(self, engine: Engine, log_error: Callable[[str], None]) -> None:
        self._engine = engine
        self._log_error = log_error
        self._known: GenerationalCache[tuple[str, str], int] = GenerationalCache(_MAX_ENTRIES)
        self._users: dict[str, int] = {}
        # By the key's id, and whether it was shown by its previous text.
        self._keys: dict[tuple[str, bool], _KeyUse] = {}
        self._sessions: dict[bytes, ShownSession] = {}
        self._pool = FairThreadPool(1, 2)
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._clean_timer: asyncio.TimerHandle | None = None
        self._clean_task: asyncio.Task[None] | None = None

    def record(self, principal: Principal, address: str) -> None:
        """Records a request of *principal* from *address*."""
        if (user := principal.user) is None or principal.transient:
            return
        now = int(time.time())
        if principal.key is not None:
            self._record_key(principal.key, address, now)
        last = self._known.get(("user", user.id))
        if last is None or now - last >= _INTERVAL_SECONDS:
            self._known.put(("user", user.id), now)
            self._users[user.id] = now
            self._schedule()

    def _record_key(self, key: ApiKey, address: str, now: int) -> None:
        previous = key.is_shown_by_previous
        last = self._known.get((key.id, key.hash.hex()))
        stored = max(last or 0, key.previous_seen_at if previous else key.last_seen_at)
        if now - stored >= _INTERVAL_SECONDS or (previous and last is None):
            self._known.put((key.id, key.hash.hex()), now)
            self._keys[key.id, previous] = _KeyUse(now, address)
            self._schedule()

    def record_session(self, shown: ShownSession) -> None:
        """Records that the token of *shown* was shown."""
        if shown.seen is not None and len(self._sessions) < _MAX_UNSAVED:
            self._sessions[shown.hash] = shown
            self._schedule()

    def _schedule(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self._flush)

    def _flush(self) -> None:
        self._timer = None
        self._task = asyncio.ensure_future(
            self._in_thread(partial(self._engine.store.upkeep, self._take()))
        )
        self._task.add_done_callback(log_task_error)

    def start(self) -> None:
        """Begins to delete ended sessions and keys revoked a month ago: hourly, the first soon."""
        self._schedule_cleaning(_FIRST_CLEAN_SECONDS)

    def _schedule_cleaning(self, seconds: float) -> None:
        self._clean_timer = asyncio.get_running_loop().call_later(seconds, self._start_cleaning)

    def _start_cleaning(self) -> None:
        self._schedule_cleaning(_CLEAN_SECONDS)
        self._clean_task = asyncio.ensure_future(self._in_thread(self._clean))
        self._clean_task.add_done_callback(log_task_error)

    def _clean(self) -> None:
        self._engine.sessions.prune()
        now = int(time.time())
        before = now - _REVOKED_KEY_SECONDS
        self._engine.store.upkeep(lambda tx: tx.drop_revoked_api_keys(before))
        self._engine.store.upkeep(lambda tx: tx.drop_used_tokens(now))
        self._engine.accounts.drop_old_sign_ups(now - _SIGN_UP_SECONDS)

    def _take(self) -> Callable[[UpkeepTx], None]:
        """Returns the gathered uses as an upkeep, and forgets them."""
        users, self._users = self._users, {}
        keys, self._keys = self._keys, {}
        sessions, self._sessions = self._sessions, {}
        record_seen = self._engine.sessions.record_seen

        def write(tx: UpkeepTx) -> None:
            for id, at in users.items():
                tx.touch_user(id, at)
            for (id, previous), use in keys.items():
                tx.touch_api_key(id, use.at, use.address, previous=previous)
            for shown in sessions.values():
                record_seen(tx, shown)

        return write

    async def _in_thread(self, work: Callable[[], None]) -> None:
        try:
            await self._pool.run(work)
        except (StoreUnavailable, OutcomeUnknown, Overloaded) as error:
            self._log_error(f"last uses cannot be written: {error}")

    def close(self) -> None:
        """Writes the uses that are not yet stored. Blocks during the write."""
        for timer in (self._timer, self._clean_timer):
            if timer is not None:
                timer.cancel()
        self._pool.close(0)
        if not (self._users or self._keys or self._sessions):
            return
        try:
            self._engine.store.upkeep(self._take())
        except (StoreUnavailable, OutcomeUnknown) as error:
            self._log_error(f"last uses cannot be written: {error}")
