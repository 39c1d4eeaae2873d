"""Users and API keys that came from a Pyroscope, over HTTP: in front of a store, and throttled."""

import os
import re
import secrets
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headgate_engine.accounts.imported_keys import ImportedKeys
from headgate_engine.model.imported_key import ImportedSecret
from support.account_requests import send
from support.audit_records import audit_records
from support.command_here import run_command
from support.gateway_fixtures import configured, upstream
from support.local_server import LocalServer
from support.pyroscope_db import ADMIN, AGENT, READ_ONLY, PyroscopeFile, key_text
from support.recorder_upstream import Recorder, recorder

RESULTS = b'{"results":[{"statement_id":0}]}'
READ = "/query?db=shop&q=SELECT+*+FROM+m"


@pytest.fixture
def store() -> Iterator[Recorder]:
    with recorder() as upstream_store:
        upstream_store.reply = lambda heard: (
            (204, {}, b"") if heard.path == "/write" else (200, {}, RESULTS)
        )
        yield upstream_store


@pytest.fixture
def running(serve: Callable[..., LocalServer], tmp_path: Path, store: Recorder) -> LocalServer:
    server = configured(serve, tmp_path, upstream("influxdb1", urls=[store.url]))
    return server.bootstrap("CREATE DATABASE shop")


@pytest.fixture
def source(tmp_path: Path) -> PyroscopeFile:
    return PyroscopeFile(tmp_path / "pyroscope.db")


def take(source: PyroscopeFile, running: LocalServer, *texts: str) -> None:
    """Imports *source* while the server runs. *texts* of keys must not occur in its log."""
    running.secrets.update(texts)
    arguments = ("import", "pyroscope", str(source.path), "--store", str(running.store))
    done = run_command(*arguments, "--admin-keys", environment=dict(os.environ))
    assert done.returncode == 0, done.stderr


def bcrypt_count(running: LocalServer) -> float:
    """Returns how many bcrypt computations of logins there were."""
    text = send(running, "GET", "/metrics").body.decode()
    found = re.search(r"^headgate_bcrypt_duration_seconds_count (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def status(running: LocalServer, key: str, path: str = "/api/whoami") -> tuple[int, str]:
    answer = send(running, "GET", path, login=key)
    return answer.status, answer.error if answer.status != 200 else ""


@pytest.mark.slow
def test_users_log_in_by_their_old_passwords(running: LocalServer, source: PyroscopeFile) -> None:
    source.add_user("ann", "Pw of ann", READ_ONLY)
    source.add_user("ünal", "Pw ünal", ADMIN)
    source.add_user("gone", "Pw of gone", ADMIN, disabled=True)
    source.add_user("octocat", "random", ADMIN, external=True)
    take(source, running)
    for login, expected in (
        (("ann", "Pw of ann"), 200),
        (("ann", "Pw of gone"), 401),
        (("ünal", "Pw ünal"), 200),
        (("gone", "Pw of gone"), 401),
        (("octocat", "random"), 401),
    ):
        assert send(running, "GET", "/api/whoami", login=login).status == expected, login
    assert send(running, "GET", READ, login=("ann", "Pw of ann")).status == 200
    denied = running.request("POST", "/write?db=shop", b"m v=1", None, ("ann", "Pw of ann"))
    assert denied.status == 403
    profile = send(running, "GET", "/api/user", login=("ann", "Pw of ann")).json
    assert (profile["role"], profile["isExternal"]) == ("ReadOnly", False)


@pytest.mark.slow
def test_a_key_writes_and_reads_by_its_role(
    running: LocalServer, source: PyroscopeFile, store: Recorder
) -> None:
    agent, reader, boss = (
        source.add_key(name, role) for name, role in (("a", AGENT), ("r", READ_ONLY), ("b", ADMIN))
    )
    take(source, running, agent, reader, boss)
    for key, writes, reads in ((agent, 204, 403), (reader, 403, 200), (boss, 204, 200)):
        headers = {"Authorization": f"Bearer {key}"}
        for _ in range(2):
            answer = running.request("POST", "/write?db=shop", b"m v=1", headers)
            assert answer.status == writes, answer.body
            assert running.request("GET", READ, None, headers).status == reads
    assert not any(heard.all("Authorization") for heard in store.heard)
    for key, expected in ((agent, 403), (boss, 200)):
        assert send(running, "GET", "/query?q=SHOW+USERS", login=key).status == expected
    records = [record.statement + record.outcome for record in audit_records(running)]
    assert not any(key[4:] in text for key in (agent, reader, boss) for text in records)


@pytest.mark.slow
def test_a_key_is_accepted_wherever_a_password_or_a_token_is(
    running: LocalServer, source: PyroscopeFile
) -> None:
    keys = [source.add_key(f"k{number}") for number in range(5)]
    take(source, running, *keys)
    basic = b64encode(f"pyroscope:{keys[3]}".encode()).decode()
    other = b64encode(f"root:{keys[4]}".encode()).decode()
    for authorization, expected in (
        (f"Bearer {keys[0]}", 200),
        (f"bearer {keys[1]}", 200),
        (f"Token {keys[2]}", 200),
        (f"Basic {basic}", 200),
        (f"Basic {other}", 401),
    ):
        headers = {"Authorization": authorization}
        assert running.request("GET", "/api/whoami", None, headers).status == expected
    path = f"/api/whoami?u=api_key&p={keys[0]}"
    assert running.request("GET", path).json["method"] == "key"


@pytest.mark.slow
def test_bcrypt_verifies_the_first_use_of_many_connections_once(
    running: LocalServer, source: PyroscopeFile
) -> None:
    key = source.add_key("eu")
    take(source, running, key)
    before = bcrypt_count(running)
    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda _: status(running, key), range(12)))
    assert set(answers) == {(200, "")}
    assert bcrypt_count(running) == before + 1
    (listed,) = send(running, "GET", "/api/keys?user=pyroscope").json
    assert (listed["prefix"], listed["createdBy"]) == (key[:12], "Pyroscope")


@pytest.mark.slow
def test_guesses_at_a_key_are_throttled_as_those_at_a_password(
    running: LocalServer, source: PyroscopeFile
) -> None:
    key, other = source.add_key("eu", number=7), source.add_key("us", number=8)
    take(source, running, key, other)
    assert status(running, other) == (200, "")
    before = bcrypt_count(running)
    answers = [
        send(running, "GET", "/api/whoami", login=key_text(7, secrets.token_bytes(32)))
        for _ in range(25)
    ]
    assert {answer.status for answer in answers} == {401}
    assert answers[0].error == "invalid API key" and answers[-1].headers["Retry-After"]
    assert bcrypt_count(running) < before + 25
    assert status(running, key)[0] == 401  # its first use waits, too
    assert status(running, other) == (200, "")  # a key that was used before never waits


@pytest.mark.slow
def test_a_key_that_is_no_longer_valid_is_rejected(
    running: LocalServer, source: PyroscopeFile
) -> None:
    old = source.add_key("old", expires_at="2023-02-03 04:05:06+00:00")
    revoked = source.add_key("revoked")
    take(source, running, old, revoked)
    ids = {key["name"]: key["id"] for key in send(running, "GET", "/api/keys").json}
    assert send(running, "DELETE", f"/api/keys/{ids['revoked']}").status == 204
    for _ in range(2):
        assert status(running, old) == (401, "API key expired")
        assert status(running, revoked) == (401, "API key revoked")
    unknown, malformed = key_text(99, bytes(32)), old[:-1]
    running.secrets.update((unknown, malformed))
    for text in (unknown, malformed, "psx-" + "A" * 1000):
        assert status(running, text) == (401, "invalid API key")


@pytest.mark.slow
def test_a_command_says_what_an_imported_key_is(
    running: LocalServer, source: PyroscopeFile
) -> None:
    key = source.add_key("eu")
    take(source, running, key)
    place = ("--store", str(running.store))
    done = run_command("key", "check", "-", *place, stdin=f"{key}\n")
    assert done.returncode == 0 and "eu of pyroscope: WRITE ON *" in done.stdout
    assert run_command("key", "check", "-", stdin=f"{key}\n").stdout.startswith("the form")
    wrong = run_command("key", "check", "-", *place, stdin=f"{key_text(1, bytes(32))}\n")
    assert (wrong.returncode, wrong.stderr) == (1, "headgate: invalid API key\n")


def test_a_first_use_that_another_request_has_just_verified_is_accepted(
    running: LocalServer, source: PyroscopeFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = source.add_key("eu")
    take(source, running, key)
    is_unused = ImportedKeys.is_unused

    def settled_meanwhile(keys: ImportedKeys, shown: ImportedSecret) -> bool:
        keys.settle(shown)
        return is_unused(keys, shown)

    monkeypatch.setattr(ImportedKeys, "is_unused", settled_meanwhile)
    assert status(running, key) == (200, "")
