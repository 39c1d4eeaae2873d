"""Measures completion in the shell with 10,000 users and 1,000 databases on the server.

PYTHONPATH=tests shell_completion.py [ROUNDS]      200 by default

The names are fetched over HTTP with the user's own privileges, as in the shell. Then the
completions of each text are computed.
"""

import statistics
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from harness import Server
from headgate_engine import Audit, RetentionPolicy, SqliteStore, Tx
from headgate_shell.backends.base import ConnectionSettings
from headgate_shell.interactive.completion import complete_input
from headgate_shell.interactive.completion_names import CompletionNames
from headgate_shell.session import Session

TEXTS = (
    "GR",
    "GRANT READ ON ",
    "GRANT READ ON db9",
    "GRANT READ ON db9 TO ",
    "SHOW GRANTS FOR user99",
    "CREATE USER x WITH PASSWORD 'abc' WITH ",
)


# An invalid bcrypt hash: no password matches it.
_UNUSABLE_HASH = "$2b$04$" + "x" * 53


def fill(path: Path) -> None:
    """Adds 10,000 users and 1,000 databases to the store *path*."""

    def change(tx: Tx) -> None:
        for number in range(10_000):
            tx.add_user(f"user{number}", _UNUSABLE_HASH, False)
        for number in range(1_000):
            tx.add_database(f"db{number}", RetentionPolicy())

    with closing(SqliteStore(path, create=False)) as store:
        store.transact(change, Audit("", "local", "fill"))


def main() -> int:
    """Runs the benchmark; returns the exit status."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "users.db").start()
        try:
            server.bootstrap()
            fill(server.store)
            connection = ConnectionSettings(
                "127.0.0.1", server.port, username="root", password="Toor-1"
            )
            names = CompletionNames(Session(connection))
            began = time.perf_counter()
            names.refresh().join()
            fetched = time.perf_counter() - began
        finally:
            server.stop()
    print(f"{len(names.users)} users, {len(names.databases)} databases: fetched in", end=" ")
    print(f"{1000 * fetched:.0f} ms, in a thread of its own")
    print(f"{'text':42} {'first':>9} {'median':>9} {'longest':>9}   offers")
    for text in TEXTS:
        times = []
        for _ in range(rounds):
            began = time.perf_counter()
            complete_input(text, names)
            times.append(1000 * (time.perf_counter() - began))
        offers = complete_input(text, names)
        figures = (times[0], statistics.median(times), max(times))
        print(f"{text:42}", *(f"{figure:6.2f} ms" for figure in figures), f"  {len(offers)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
