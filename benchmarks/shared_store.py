"""How soon a change on one machine is obeyed on another, and what a change takes, on etcd x3.

    PYTHONPATH=tests python benchmarks/shared_store.py [CHANGES]

One process grants and revokes a privilege, another one reads the user. The figures
are the time of a change, and the time from its acknowledgement until the other process has it.
Then 1, 2, 4 and 8 processes write without a pause for 3 seconds each. Needs Debian's etcd-server.
"""

import multiprocessing
import sys
import tempfile
import time
from contextlib import closing
from multiprocessing.synchronize import Barrier, Event
from operator import methodcaller
from pathlib import Path
from typing import Any

from headgate_engine import Audit, RetentionPolicy, Store, Tx, create_store_at, open_store
from headgate_grammar import Privilege
from support.counter import count_up
from support.etcd import Etcd
from support.waiting import poll_until

HASH = "$2b$04$" + "." * 53
AUDIT = Audit("root", "127.0.0.1", "TEST")
WRITE_SECONDS = 3.0


def put_grant(privilege: Privilege, tx: Tx) -> None:
    """Gives the user `todd` *privilege* on the database `d`."""
    user, database = tx.user("todd"), tx.database("d")
    assert user is not None and database is not None
    tx.put_grant(user, database, privilege)


def held(store: Store) -> Privilege:
    """Returns the privilege of `todd` on `d`."""
    user = store.user("todd")
    assert user is not None
    return user.grants.get("d", Privilege.NONE)


def watch(url: str, ends: Event, seen: Any) -> None:
    """Notes in *seen* each new privilege and when it was seen, until *ends*."""
    with closing(open_store(url)) as store:
        last = held(store)
        seen.put(("ready", 0.0))
        while not ends.is_set():
            if (now := held(store)) is not last:
                seen.put((now, time.monotonic()))
                last = now
            time.sleep(0.0001)  # lets the thread run that follows the store


def write(url: str, results: Any, start: Barrier) -> None:
    """Writes for some seconds from *start*; puts the times of the changes into *results*."""
    times = []
    with closing(open_store(url)) as store:
        start.wait(60)
        ends = time.monotonic() + WRITE_SECONDS
        while (began := time.monotonic()) < ends:
            store.transact(count_up, AUDIT)
            times.append(time.monotonic() - began)
    results.put(times)


def shares(times: list[float]) -> str:
    """Returns the median and the 99th percentile of *times* in ms."""
    ordered = sorted(times)
    p50, p99 = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]
    return f"p50 {p50 * 1000:6.2f} ms, p99 {p99 * 1000:7.2f} ms"


def show_visibility(url: str, changes: int) -> None:
    """Prints how soon another process has a change."""
    spawn = multiprocessing.get_context("spawn")
    ends, seen = spawn.Event(), spawn.Queue()
    process = spawn.Process(target=watch, args=(url, ends, seen))
    process.start()
    seen.get(timeout=60)
    taken, delays = [], []
    with closing(open_store(url)) as store:
        for number in range(changes):
            privilege = Privilege.NONE if number % 2 else Privilege.READ
            began = time.monotonic()
            store.transact(lambda tx, it=privilege: put_grant(it, tx), AUDIT)  # type: ignore[misc]
            acknowledged = time.monotonic()
            taken.append(acknowledged - began)
            found, at = seen.get(timeout=10)
            assert found is privilege
            delays.append(max(0.0, at - acknowledged))
            time.sleep(0.002)
    ends.set()
    process.join()
    print(f"{'a change':44} {shares(taken)}")
    print(f"{'seen elsewhere after the acknowledgement':44} {shares(delays)}")


def show_writers(url: str, count: int) -> None:
    """Prints the rate of *count* processes that write without a pause."""
    spawn = multiprocessing.get_context("spawn")
    results, start = spawn.Queue(), spawn.Barrier(count)
    processes = [spawn.Process(target=write, args=(url, results, start)) for _ in range(count)]
    for process in processes:
        process.start()
    found = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    numbers = [len(times) for times in found]
    rate = sum(numbers) / WRITE_SECONDS
    fairness = min(numbers) / max(numbers)
    text = shares([one for times in found for one in times])
    print(f"{count} writing processes{'':25} {text}, {rate:4.0f}/s, min/max {fairness:.2f}")


def main() -> None:
    """Starts an etcd, and prints the figures."""
    changes = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder, Etcd(Path(folder), 3) as etcd:
        members = ",".join(f"127.0.0.1:{port}" for port in etcd.ports)
        url = f"etcd://{members}/benchmark"
        poll_until(lambda: create_store_at(url), "etcd does not start")
        with closing(open_store(url)) as store:
            store.transact(methodcaller("add_user", "todd", HASH, False), AUDIT)
            store.transact(methodcaller("add_database", "d", RetentionPolicy()), AUDIT)
        show_visibility(url, changes)
        for count in (1, 2, 4, 8):
            show_writers(url, count)


if __name__ == "__main__":
    main()
