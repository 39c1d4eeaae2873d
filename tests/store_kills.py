"""Kills and freezes the leader of a real store, again and again, while four processes write.

    PYTHONPATH=tests python tests/store_kills.py [etcd|postgresql] [KILLS [FREEZES [STALENESS]]]

The leader of an etcd is any of three members. That of PostgreSQL is the primary, which starts again
beside its synchronous standby.

Four processes add one to a number without a pause. A fifth writes the time every 20 ms, and a sixth
reads it a thousand times a second. The figures are the acknowledged changes and those that were
lost or made twice, the longest times without a change, and how old the oldest read was. The exit
status is 1 if a change was lost or made twice, or a read was older than the bound.
"""

import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from multiprocessing.synchronize import Event
from operator import methodcaller
from pathlib import Path
from typing import Any

from headgate_engine import (
    Audit,
    OutcomeUnknown,
    Profile,
    StoreOptions,
    StoreUnavailable,
    Tx,
    create_store_at,
    open_store,
)
from support.counter import count_up, counted
from support.etcd import Etcd
from support.postgres import Postgres
from support.waiting import poll_until

HASH = "$2b$04$" + "." * 53
AUDIT = Audit("root", "127.0.0.1", "TEST")
WRITERS = 4
PAUSE_SECONDS = 3.0


def note_time(tx: Tx) -> None:
    """Writes the present time into the full name of the user `clock`."""
    user = tx.user("clock")
    assert user is not None
    tx.put_profile(user, Profile(full_name=str(time.monotonic())))


def write(url: str, options: StoreOptions, ends: Event, results: Any) -> None:
    """Counts up until *ends*, and puts the figures into *results*."""
    acknowledged = unknown = 0
    times: list[float] = []
    with closing(open_store(url, options)) as store:
        while not ends.is_set():
            try:
                store.transact(count_up, AUDIT)
            except OutcomeUnknown:
                unknown += 1
            except StoreUnavailable:
                time.sleep(0.01)
            else:
                acknowledged += 1
                times.append(time.monotonic())
    results.put(("writer", acknowledged, unknown, times))


def tell(url: str, options: StoreOptions, ends: Event, acknowledged: Any) -> None:
    """Writes the time every 20 ms, and shows the newest acknowledged one in *acknowledged*."""
    with closing(open_store(url, options)) as store:
        while not ends.wait(0.02):
            try:
                store.transact(note_time, AUDIT)
            except (OutcomeUnknown, StoreUnavailable):
                continue
            user = store.user("clock")
            assert user is not None
            acknowledged.value = float(store.profiles([user.id])[user.id].full_name)


def read(url: str, options: StoreOptions, ends: Event, acknowledged: Any, results: Any) -> None:
    """Reads the time a thousand times a second; notes how long an older one was returned."""
    oldest, reads, refused, back = 0.0, 0, 0, 0
    newer_since: tuple[float, float] | None = None  # an acknowledged value, and when it was seen
    last = 0.0
    with closing(open_store(url, options)) as store:
        user = store.user("clock")
        assert user is not None
        while not ends.wait(0.001):
            reads += 1
            expected, began = acknowledged.value, time.monotonic()
            try:
                seen = float(store.profiles([user.id])[user.id].full_name or "0")
            except StoreUnavailable:
                refused += 1
                newer_since = None
                continue
            back += seen < last
            last = seen
            if newer_since is not None and seen < newer_since[0]:
                oldest = max(oldest, began - newer_since[1])
            elif seen < expected:
                newer_since = expected, began
            else:
                newer_since = None
    results.put(("reader", oldest, reads, refused, back))


def leader(etcd: Etcd) -> int:
    """Returns the number of the member that leads, or -1."""
    for number, port in enumerate(etcd.ports):
        command = ["etcdctl", "--endpoints", f"http://127.0.0.1:{port}", "--command-timeout=1s"]
        done = subprocess.run(
            [*command, "endpoint", "status"],
            capture_output=True,
            text=True,
            env=os.environ | {"ETCDCTL_API": "3"},
        )
        if done.returncode == 0 and done.stdout.split(", ")[4] == "true":
            return number
    return -1


def disturb(servers: Etcd | Postgres, kills: int, freezes: int) -> list[float]:
    """Kills the leader *kills* times, and freezes it *freezes* times. Returns the moments."""
    moments = []

    def leading() -> int:
        return leader(servers) if isinstance(servers, Etcd) else 0

    for number in range(kills + freezes):
        poll_until(lambda: leading() >= 0, "no leader", seconds=60)
        time.sleep(PAUSE_SECONDS)
        member = leading()
        moments.append(time.monotonic())
        if number < kills:
            servers.kill(member)
            time.sleep(PAUSE_SECONDS)
            servers.start(member)
        else:
            servers.freeze(member)
            time.sleep(PAUSE_SECONDS * 2)
            servers.freeze(member, frozen=False)
    time.sleep(PAUSE_SECONDS)
    return moments


def longest_pauses(times: list[float], moments: list[float]) -> list[float]:
    """Returns, for each of *moments*, the longest time without a change until the next one."""
    pauses = []
    for begins, ends in zip(moments, [*moments[1:], float("inf")], strict=True):
        within = [begins, *(it for it in times if begins <= it < ends)]
        pauses.append(max((b - a for a, b in zip(within, within[1:], strict=False)), default=0.0))
    return pauses


def main() -> int:
    """Runs the disturbances, and prints the figures."""
    kind, *numbers = sys.argv[1:] or ["etcd"]
    given = [float(number) for number in numbers] + [30, 5, 5.0][len(numbers) :]
    kills, freezes, options = int(given[0]), int(given[1]), StoreOptions(max_staleness=given[2])
    spawn = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        servers: Etcd | Postgres
        if kind == "etcd":
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            servers = stack.enter_context(Etcd(Path(folder), 3))
            members = ",".join(f"127.0.0.1:{port}" for port in servers.ports)
            url = f"etcd://{members}/kills"
        else:
            servers = stack.enter_context(Postgres(standby=True))
            url = servers.url()
        create_store_at(url)
        with closing(open_store(url)) as store:
            store.transact(methodcaller("add_user", "clock", HASH, False), AUDIT)
        ends, results = spawn.Event(), spawn.Queue()
        acknowledged = spawn.Value("d", 0.0)
        workers = [
            *(
                spawn.Process(target=write, args=(url, options, ends, results))
                for _ in range(WRITERS)
            ),
            spawn.Process(target=tell, args=(url, options, ends, acknowledged)),
            spawn.Process(target=read, args=(url, options, ends, acknowledged, results)),
        ]
        for worker in workers:
            worker.start()
        poll_until(lambda: acknowledged.value > 0, "nothing is written")
        moments = disturb(servers, kills, freezes)
        ends.set()
        found = [results.get(timeout=30) for _ in range(WRITERS + 1)]
        for worker in workers:
            worker.join()
        with closing(open_store(url, options)) as store:
            made = counted(store)
            revision, last = store.confirmed_revision(), store.newest_audit(limit=1)[0].id
    writers = [it for it in found if it[0] == "writer"]
    done, unknown = sum(it[1] for it in writers), sum(it[2] for it in writers)
    times = sorted(moment for it in writers for moment in it[3])
    pauses = longest_pauses(times, moments)
    ((_, oldest, reads, refused, back),) = [it for it in found if it[0] == "reader"]
    figures = {
        "acknowledged": done,
        "unknown": unknown,
        "of these made": made - done,
        "lost": max(0, done - made),
        "made twice": max(0, made - done - unknown),
        "revisions without a hole": revision == last,
        "longest without a change, kills: median": round(statistics.median(pauses[:kills]), 2),
        "longest without a change, kills: worst": round(max(pauses[:kills]), 2),
        "longest without a change, freezes: worst": round(max(pauses[kills:], default=0.0), 2),
        "changes by each process": [it[1] for it in writers],
        "reads": reads,
        "refused reads": refused,
        "oldest read after a newer acknowledged change, s": round(oldest, 3),
        "reads back in time": back,
    }
    for name, figure in figures.items():
        print(f"{name:52} {json.dumps(figure)}")
    whole = made - done <= unknown and done <= made
    return 0 if whole and not back and oldest <= options.max_staleness else 1


if __name__ == "__main__":
    sys.exit(main())
