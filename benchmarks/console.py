"""The console with 100,000 users and 200 databases: time of its pages, and what they cost /query.

    PYTHONPATH=tests python benchmarks/console.py [USERS [SECONDS]]

The first table has the server's time for each page, by the access log, and the memory after it. The
second has the 99th percentile of /query, 200 requests a second, without pages and beside 20 pages a
second, in turns. The server has a processor of its own there: its clients must not delay it.
"""

import asyncio
import json
import os
import re
import statistics
import sys
import tempfile
import time
from base64 import b64encode
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from headgate_engine import Audit, RetentionPolicy, SqliteStore, Tx
from headgate_grammar import Privilege
from support.account_requests import COOKIE, sign_in
from support.server_process import ServerProcess
from support.servers import ROOT

DATABASES = 200
HASH = "$2b$04$" + "." * 53
QUERIES_PER_SECOND, PAGES_PER_SECOND = 200, 20
PAGES = {
    "table, first page": "/console/",
    "table, filter of users": "/console/?name=user-099",
    "table, filter without a match": "/console/?name=nix",
    "table, filter of both": "/console/?name=99&db=d19",
    "table, a page in the middle": "/console/?after=user-050000&from=100",
    "users, first page": "/console/users",
    "users, never seen": "/console/users?state=never-seen",
    "users, disabled (none)": "/console/users?state=disabled",
    "one user": "/console/users/5000",
    "one database": "/console/databases/7",
    "audit": "/console/audit",
    "audit, a rare text": "/console/audit?text=nix",
}


def fill(path: Path, users: int) -> None:
    """Adds *users* with three grants each, and the databases."""
    store = SqliteStore(path)

    def databases(tx: Tx) -> None:
        for number in range(DATABASES):
            tx.add_database(f"d{number:03}", RetentionPolicy())

    def page(first: int, tx: Tx) -> None:
        known = [tx.database(f"d{number:03}") for number in range(DATABASES)]
        for number in range(first, min(first + 5000, users)):
            name = f"user-{number:06}"
            tx.add_user(name, HASH, False)
            user = tx.user(name)
            assert user is not None
            for step in range(3):
                database = known[(number * 7 + step * 31) % DATABASES]
                assert database is not None
                tx.put_grant(user, database, (Privilege.READ, Privilege.WRITE, Privilege.ALL)[step])

    store.transact(databases, Audit("", "", "-- databases"))
    for first in range(0, users, 5000):
        store.transact(partial(page, first), Audit("", "", f"-- {first}"))
    store.close()


def memory(server: ServerProcess) -> float:
    """Returns the resident memory of the server in MiB."""
    assert server.process is not None
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", status)
    assert found is not None
    return int(found[1]) / 1024


def time_pages(server: ServerProcess, cookie: str) -> None:
    """Prints the server's time for each page, the median of nine."""
    headers = {"Cookie": f"{COOKIE}={cookie}"}
    print(f"{'page':32} {'ms':>8} {'KiB':>8} {'MiB RSS':>8}")
    for name, path in PAGES.items():
        answers = [server.request("GET", path, None, headers) for _ in range(9)]
        assert {answer.status for answer in answers} == {200}, path
        lines = [line for line in server.log().splitlines() if '"/console/*"' in line][-9:]
        milliseconds = statistics.median(json.loads(line)["seconds"] * 1000 for line in lines)
        size = len(answers[0].body) / 1024
        print(f"{name:32} {milliseconds:8.1f} {size:8.0f} {memory(server):8.1f}")


async def steady(port: int, request: bytes, rate: int, seconds: float) -> list[float]:
    """Sends *request* at *rate* over one connection after another; returns the times in ms."""
    taken: list[float] = []

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        assert length is not None and head.startswith(b"HTTP/1.1 200"), head
        await reader.readexactly(int(length[1]))
        taken.append((time.perf_counter() - begun) * 1000)

    streams = [await asyncio.open_connection("127.0.0.1", port, limit=1 << 24) for _ in range(8)]
    busy = [asyncio.Lock() for _ in streams]

    async def in_turn(index: int) -> None:
        async with busy[index % 8]:
            await one(*streams[index % 8])

    start, tasks = time.perf_counter(), []
    for index in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, start + index / rate - time.perf_counter()))
        tasks.append(asyncio.ensure_future(in_turn(index)))
    await asyncio.gather(*tasks)
    for _, writer in streams:
        writer.close()
    return taken


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[int(len(values) * share)]


def run_steady(port: int, request: bytes, rate: int, seconds: float) -> list[float]:
    return asyncio.run(steady(port, request, rate, seconds))


def separate(server: ServerProcess) -> None:
    """Gives one processor to all threads of *server*, and the others to the clients."""
    first, *others = sorted(os.sched_getaffinity(0))
    assert server.process is not None
    for thread in os.listdir(f"/proc/{server.process.pid}/task"):
        os.sched_setaffinity(int(thread), {first})
    os.sched_setaffinity(0, others or {first})


def compare(port: int, cookie: str, seconds: float) -> None:
    """Prints the 99th percentiles of /query without pages and beside them, in turns.

    The pages are fetched by a process of their own: their bytes must not delay the other client.
    """
    basic = b64encode(":".join(ROOT).encode()).decode()
    query = (
        f"GET /query?q=SHOW+GRANTS+FOR+%22user-000007%22 HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Basic {basic}\r\n\r\n"
    ).encode()
    page = f"GET /console/?name=7 HTTP/1.1\r\nHost: x\r\nCookie: {COOKIE}={cookie}\r\n\r\n".encode()
    alone: list[float] = []
    beside: list[float] = []
    shown: list[float] = []
    with ProcessPoolExecutor(1) as pool:
        for _ in range(4):
            alone += run_steady(port, query, QUERIES_PER_SECOND, seconds)
            pages = pool.submit(run_steady, port, page, PAGES_PER_SECOND, seconds)
            beside += run_steady(port, query, QUERIES_PER_SECOND, seconds)
            shown += pages.result()
    print(f"\n{'/query, ms':32} {'p50':>8} {'p99':>8}")
    for name, values in (("alone", alone), ("beside 20 pages/s", beside), ("the pages", shown)):
        print(f"{name:32} {percentile(values, 0.5):8.2f} {percentile(values, 0.99):8.2f}")
    print(f"ratio of p99: {percentile(beside, 0.99) / percentile(alone, 0.99):.2f}")


def main() -> None:
    """Fills a store, starts a server on it, and prints both tables."""
    users = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 5.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "users.db"
        environment = {"HEADGATE_HTTP_LOG_FORMAT": "json", "HEADGATE_AUTH_BCRYPT_COST": "4"}
        server = ServerProcess(path, (), environment, fresh=True).start()
        try:
            server.bootstrap()
            fill(path, users)
            print(f"{users} users, {DATABASES} databases; {memory(server):.1f} MiB RSS before\n")
            cookie = sign_in(server, *ROOT)
            time_pages(server, cookie)
            separate(server)
            compare(server.port, cookie, seconds)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
