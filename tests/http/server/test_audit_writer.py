"""The audit records that a server writes: changes, failed logins and rejected requests."""

import time
from collections.abc import Callable
from pathlib import Path

import jwt
import pytest

from headgate_engine import AuditRecord, SqliteStore
from support.local_server import LocalServer
from support.servers import ROOT, Server
from support.waiting import poll_until

SECRET = "a secret of some length, for tokens"


def refused(server: Server, count: int = 1) -> list[AuditRecord]:
    """Waits for *count* audit records of rejected requests, and returns them."""
    store = SqliteStore(server.store, create=False)
    found: list[AuditRecord] = []

    def there() -> bool:
        found[:] = [record for record in store.audit() if not record.revision]
        return len(found) >= count

    try:
        poll_until(there, f"not {count} records, but {found}")
    finally:
        store.close()
    return found


def told(record: AuditRecord) -> tuple[str, str, str, str]:
    return record.actor, record.address, record.statement, record.outcome


def test_failed_logins_are_recorded_with_user_address_and_reason(
    serve: Callable[..., Server],
) -> None:
    server = serve(HEADGATE_HTTP_SHARED_SECRET=SECRET)
    server.bootstrap("CREATE USER todd WITH PASSWORD 's3cret'")
    server.query("SHOW USERS", ("todd", "wrong-1"))
    server.query("SHOW USERS", ("my-password-instead", "x"))
    server.request("GET", "/query?q=SHOW+USERS", headers={"Authorization": "Basic ???"})
    forged = jwt.encode({"username": "root", "exp": time.time() + 60}, "x" * 40, "HS256")
    server.request("GET", "/ping")
    server.request("GET", "/query?q=x", headers={"Authorization": f"Bearer {forged}"})
    server.request("GET", "/query?q=SHOW+USERS")  # without credentials: not a failed login
    records = sorted(map(told, refused(server, 4)))
    here, failed = "127.0.0.1", "authorization failed"
    assert records == [
        ("", here, "-- login (none)", "unable to parse authentication credentials"),
        ("", here, "-- login (password)", f"{failed}: no such user"),
        ("", here, "-- login (shared-secret)", "signature is invalid"),
        ("todd", here, "-- login (password)", failed),
    ]


@pytest.mark.slow
def test_many_failures_are_one_record_that_counts(server: Server) -> None:
    server.bootstrap("CREATE USER todd WITH PASSWORD 's3cret'")
    for number in range(40):
        server.query("SHOW USERS", ("todd", f"guess-{number}"))
    assert server.stop() == 0  # writes the pending records
    records = refused(server)
    assert len(records) < 10 and sum(record.count for record in records) == 40
    assert {record.outcome for record in records} == {
        "authorization failed",
        "too many failed logins",
    }


def test_what_is_denied_and_what_fails_is_recorded(server: Server) -> None:
    server.bootstrap("CREATE DATABASE db; CREATE USER todd WITH PASSWORD 's3cret'")
    todd = ("todd", "s3cret")
    assert server.query("SHOW USERS; GRANT ALL PRIVILEGES TO todd", todd).status == 403
    assert server.query("SELECT * FROM db..m", todd).status == 403
    assert server.request("POST", "/write?db=db", b"m v=1", basic=todd).status == 403
    assert server.query("DROP USER root; DROP USER todd; SHOW USERS").error
    here = "127.0.0.1"
    assert sorted(map(told, refused(server, 4))) == [
        ("root", here, "DROP USER root", "cannot remove the last admin user"),
        ("todd", here, "-- write", "requires WRITE on db"),
        ("todd", here, "SELECT * FROM db..m", "requires READ on db"),
        ("todd", here, "SHOW USERS", "requires admin privilege"),
    ]


def test_without_its_audit_file_nothing_is_changed(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    path = tmp_path / "audit-file.log"
    server = serve(HEADGATE_AUDIT_FILE=str(path)).bootstrap()
    path.rename(tmp_path / "elsewhere.log")
    path.mkdir()
    answer = server.query("CREATE DATABASE db")
    assert "the audit file cannot be written: Is a directory" in answer.error
    assert server.query("SHOW DATABASES").json["results"][0]["series"][0].get("values") is None
    assert str(tmp_path) not in answer.error
    path.rmdir()
    assert not server.query("CREATE DATABASE db").error


def test_an_audit_file_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    environment = {"HEADGATE_AUDIT_FILE": str(tmp_path / "nowhere" / "audit-file.log")}
    said = LocalServer(tmp_path / "s.db", environment=environment).attempt()
    assert said.endswith("audit-file.log: No such file or directory") and "audit file" in said
    assert not (tmp_path / "s.db").exists()


@pytest.mark.slow
def test_what_is_too_old_is_forgotten(serve: Callable[..., Server]) -> None:
    server = serve().bootstrap("CREATE DATABASE a", "CREATE DATABASE b")
    server.stop()
    server.environment["HEADGATE_AUDIT_RETENTION"] = "1ms"
    server.start()  # prunes at the start, and every minute
    store = SqliteStore(server.store, create=False)
    poll_until(lambda: len(store.audit()) == 1, "the old ones are there")
    assert store.audit()[0].statement == "CREATE DATABASE b"
    store.close()


def test_a_store_that_others_may_read_is_warned_of(serve: Callable[..., Server]) -> None:
    server = serve()
    server.stop()
    server.store.chmod(0o640)
    server.start()
    assert "(mode 0640): it should have mode 0600" in server.log()
    assert server.query("SHOW USERS", ROOT).status == 403
