"""A flood of rejected requests writes a bounded number of bytes to the audit and the log."""

import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from headgate_engine import (
    AuditFile,
    AuditRecord,
    MemoryStore,
    SqliteStore,
    StoreSize,
    StoreUnavailable,
)
from headgate_server.background.audit_writer import BUDGET_BYTES, AuditWriter
from support.servers import Server
from support.waiting import poll_until

LARGEST_RECORD = 2_000  # bytes of JSON, for names and statements in ASCII


class Audited:
    """A user store with an audit file, and an AuditWriter that writes to this store."""

    def __init__(self, folder: Path, budget: int = BUDGET_BYTES, paths: tuple[str, ...] = ()):
        self.file = folder / "audit.log"
        self.store = SqliteStore(folder / "users.db", audit_file=AuditFile(self.file))
        self.complaints: list[str] = []
        complain = self.complaints.append
        self.recorder = AuditWriter(self.store, 0, complain, budget=budget, paths=paths)

    def finish(self) -> list[AuditRecord]:
        self.recorder.close()
        self.store.export()
        found = list(self.store.audit())
        self.store.close()
        return found


@pytest.fixture
def audited(tmp_path: Path) -> Iterator[Audited]:
    yield Audited(tmp_path)


def test_a_flood_of_different_statements_is_bounded_in_bytes(audited: Audited) -> None:
    for number in range(3_000):
        name = "x" * 920 + str(number)
        text = f'SHOW MEASUREMENTS ON "{number}{name}"'
        audited.recorder.record_denied("ann", "10.0.0.1", text, f"requires READ on {number}{name}")
    records = audited.finish()
    assert sum(record.count for record in records) == 3_000
    assert audited.file.stat().st_size <= BUDGET_BYTES + LARGEST_RECORD
    assert max(len(record.statement) for record in records) == 100
    assert records[0].statement.endswith(" [cut]")
    assert "-- many others" in {record.statement for record in records}
    assert len(audited.file.read_text().splitlines()) == len(records)


def test_a_flood_from_many_addresses_is_bounded_in_bytes(audited: Audited) -> None:
    for number in range(3_000):
        address = f"127.{number % 250}.{number // 250}.1"
        audited.recorder.record_denied("", address, "-- login (none)", "unable to parse")
    records = audited.finish()
    assert sum(record.count for record in records) == 3_000
    assert audited.file.stat().st_size <= BUDGET_BYTES + LARGEST_RECORD


def test_addresses_of_one_ipv6_network_are_one_record(audited: Audited) -> None:
    for number in range(500):
        audited.recorder.record_denied("ann", f"2001:db8:1:2:{number:x}::1", "SHOW USERS", "no")
    audited.recorder.record_denied("ann", "2001:db8:1:3::1", "SHOW USERS", "no")
    audited.recorder.record_denied("bob", "2001:db8:1:2::1", "SHOW USERS", "no")
    found = {(one.actor, one.address): one.count for one in audited.finish()}
    assert found == {
        ("ann", "2001:db8:1:2::/64"): 500,
        ("ann", "2001:db8:1:3::1"): 1,
        ("bob", "2001:db8:1:2::1"): 1,
    }


def test_a_few_refusals_are_whole(audited: Audited) -> None:
    audited.recorder.record_denied("ann", "10.0.0.1", "SHOW USERS", "requires admin privilege")
    audited.recorder.record_denied("ann", "10.0.0.1", "SHOW USERS", "requires admin privilege")
    (record,) = audited.finish()
    assert (record.actor, record.address, record.statement, record.count) == (
        *("ann", "10.0.0.1", "SHOW USERS"),
        2,
    )


def test_on_a_nearly_full_disk_refusals_are_only_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = threading.Event()
    true = os.statvfs

    def statvfs(path: str) -> os.statvfs_result:
        fields = list(true(path))
        if full.is_set():
            fields[4] = 0  # f_bavail
        return os.statvfs_result(fields)

    monkeypatch.setattr(os, "statvfs", statvfs)
    audited = Audited(tmp_path, paths=(str(tmp_path / "audit.log"),))
    full.set()
    for number in range(10):
        audited.recorder.record_denied("ann", "10.0.0.1", f"SHOW GRANTS FOR u{number}", "no")
    poll_until(lambda: bool(audited.complaints), "no complaint")
    assert "the disk is nearly full" in audited.complaints[0]
    assert not audited.store.audit()
    full.clear()
    audited.recorder.record_denied("ann", "10.0.0.1", "SHOW USERS", "no")
    counts = {record.statement: record.count for record in audited.finish()}
    assert counts == {"-- many others": 10, "SHOW USERS": 1}


@pytest.mark.parametrize("format", ["text", "json"])
def test_the_log_line_of_a_refused_request_is_short(
    serve: Callable[..., Server], format: str
) -> None:
    server = serve(HEADGATE_HTTP_LOG_FORMAT=format).bootstrap(
        "CREATE USER ann WITH PASSWORD 'Ann-pw-1'"
    )
    name = "x" * 900
    headers = {"X-Request-Id": "i" * 1000, "Content-Type": "application/x-www-form-urlencoded"}
    body = f'q=SHOW+MEASUREMENTS+ON+"{name}"&db={name}'.encode()
    answer = server.request("POST", "/query", body, headers, ("ann", "Ann-pw-1"))
    assert answer.status == 403 and name in answer.error
    poll_until(lambda: "iiii" in server.log(), "it is written")
    (line,) = [line for line in server.log().splitlines() if "iiii" in line]
    assert len(line) < 1_200 and "SHOW MEASUREMENTS" in line and "xxx" in line


class SizedStore(MemoryStore):
    """A store of the size *used* of 100 bytes, or of an unknown size; notes what is pruned."""

    def __init__(self, used: int | None) -> None:
        super().__init__()
        self.used, self.pruned = used, list[str]()

    def size(self) -> StoreSize:  # type: ignore[override]
        if self.used is None:
            raise StoreUnavailable("no permission")
        return StoreSize(self.used, self.used, 100)

    def prune_audit(self, before: str) -> None:
        self.pruned.append(before)


@pytest.mark.parametrize(("used", "seconds"), [(79, 1000), (80, 500), (None, 1000)])
def test_the_audit_of_a_nearly_full_store_is_kept_half_as_long(
    used: int | None, seconds: int
) -> None:
    store, complaints = SizedStore(used), list[str]()
    began = datetime.now(UTC)
    writer = AuditWriter(store, 1000, complaints.append)
    poll_until(lambda: bool(store.pruned), "nothing is pruned")
    writer.close()
    age = began - datetime.fromisoformat(store.pruned[0])
    assert 0 <= seconds - age.total_seconds() < 200
    full = ["80% of the store is used: the audit is kept half as long"]
    assert complaints == (full if used == 80 else [])
