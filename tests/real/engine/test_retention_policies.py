"""Retention policies: the same statements on Headgate's engine and on a real influxd."""

from pathlib import Path
from random import Random

import pytest

from headgate_engine import UNRESTRICTED, Engine, MemoryStore, SqliteStore
from support.influxd import Influxd, needs_influxd

pytestmark = needs_influxd

STATEMENTS = 400
DATABASES = ["a", "b c"]
POLICIES = ["autogen", "week", "d'ay", "\\"]
DURATIONS = ["INF", "30m", "1h", "1h1ms", "90m", "1d", "3d", "26w", "52w"]
SHARDS = ["1m", "1h", "2h", "1d", "7d", "1000h"]


def quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def options(random: Random, *, all_needed: bool) -> str:
    """Returns clauses of a retention policy, in the order of the grammar."""
    words = []
    for word, values in (("DURATION", DURATIONS), ("REPLICATION", ["1", "2"])):
        if all_needed or random.random() < 0.6:
            words.append(f"{word} {random.choice(values)}")
    if random.random() < 0.4:
        words.append(f"SHARD DURATION {random.choice(SHARDS)}")
    return " ".join(words)


def statement(random: Random) -> str:
    """Returns a random statement about retention policies."""
    database, policy = quoted(random.choice(DATABASES)), quoted(random.choice(POLICIES))
    default = " DEFAULT" if random.random() < 0.3 else ""
    match random.choice(["create", "create", "alter", "alter", "drop", "with", "database", "gone"]):
        case "create":
            clauses = options(random, all_needed=True)
            return f"CREATE RETENTION POLICY {policy} ON {database} {clauses}{default}"
        case "alter":
            clauses = options(random, all_needed=False) or "REPLICATION 1"
            return f"ALTER RETENTION POLICY {policy} ON {database} {clauses}{default}"
        case "drop":
            return f"DROP RETENTION POLICY {policy} ON {database}"
        case "with":
            clauses = f"{options(random, all_needed=False)} NAME {policy}"
            return f"CREATE DATABASE {database} WITH {clauses}"
        case "database":
            return f"CREATE DATABASE {database}"
    return f"DROP DATABASE {database}" if random.random() < 0.2 else "SHOW DATABASES"


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_policies_are_those_of_influxd(tmp_path: Path, kind: str) -> None:
    store = MemoryStore() if kind == "memory" else SqliteStore(tmp_path / "users.db")
    engine = Engine(store)
    random = Random(kind)
    folder = tmp_path / "influxdb"
    folder.mkdir()
    shown = [f"SHOW RETENTION POLICIES ON {quoted(name)}" for name in (*DATABASES, "gone")]
    with Influxd(folder, auth=False) as influxd:
        for number in range(STATEMENTS):
            text = "; ".join([statement(random), *(shown if number % 5 == 0 else ())])
            for one in text.split("; "):
                theirs = influxd.query(one, None).json["results"][0]
                (ours,) = engine.query(one, UNRESTRICTED)
                assert ours.error == theirs.get("error", ""), one
                rows = [list(row) for series in ours.series for row in series.values]
                columns = [list(series.columns) for series in ours.series]
                series = theirs.get("series", [])
                assert rows == [row for table in series for row in table.get("values", [])], one
                assert columns == [table["columns"] for table in series], one
    store.close()
