"""Tests of tokens (JWT) from a table: signatures, claims, key sources, users and grants.

Each case in `jwt/cases.json` has a configuration, users, requests and expected responses. The
server runs in this process, with a clock that tests set forward instead of waiting.
"""

import base64
import json
import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trustme

from headgate_engine import UNRESTRICTED, Engine, Passwords, SqliteStore
from headgate_server import Application, ConfigurationError
from headgate_server.auth.jwt import issuers
from headgate_server.auth.jwt import jwks_client as fetched
from support.asgi_client import AsgiClient
from support.jwt_fixtures import Clock, World, token
from support.places import RECORDED

DOCUMENT = json.loads((RECORDED / "jwt" / "cases.json").read_text())
Case = dict[str, Any]
ROOT = ("root0", "Root0-of-the-test")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(fetched, "monotonic", clock.monotonic)
    monkeypatch.setattr(issuers, "time", clock.wall)
    return clock


class _Log(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(f"{record.getMessage()} {record.__dict__}")


@pytest.fixture
def log() -> Iterator[list[str]]:
    """Returns the list of log lines that the server writes during the test."""
    lines: list[str] = []
    logger, handler = logging.getLogger("headgate"), _Log(lines)
    level, access = logger.level, logging.getLogger("headgate.access")
    disabled, access.disabled = access.disabled, False
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield lines
    logger.removeHandler(handler)
    logger.setLevel(level)
    access.disabled = disabled


@pytest.fixture
def world(case: Case, tmp_path: Path, clock: Clock, authority: trustme.CA) -> Iterator[World]:
    world = World(DOCUMENT["baseline_config"], case, tmp_path, clock, authority)
    with world.attacker:
        yield world
        world.close()


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in DOCUMENT["cases"]])
def test_a_token_is_judged(case: Case, world: World, log: list[str]) -> None:
    expected = case.get("expect", {})
    if expected.get("startup_error"):
        with pytest.raises(ConfigurationError) as error:
            world.configuration()
        said = str(error.value)
        assert "\n" not in said
        assert any(word.replace("_", "-") in said for word in listed(expected, "message_contains"))
        return
    settings = world.configuration()
    with closing(SqliteStore(settings.store_path)) as store:
        engine = Engine(store, Passwords(4))
        set_up(case.get("state", {}), engine)
        app = Application(settings)
        with AsgiClient(app) as client:
            for step in case.get("steps", [case]):
                play(step, world, client, engine, log)


def test_no_case_is_missing() -> None:
    assert len(DOCUMENT["cases"]) == 206


def set_up(state: Case, engine: Engine) -> None:
    def execute(text: str) -> None:
        assert not any(result.error for result in engine.query(text, UNRESTRICTED)), text

    execute(f"CREATE USER {ROOT[0]} WITH PASSWORD '{ROOT[1]}' WITH ALL PRIVILEGES")
    for database in state.get("databases", ()):
        execute(f'CREATE DATABASE "{database}"')
    for user in state.get("users", ()):
        admin = " WITH ALL PRIVILEGES" if user.get("admin") else ""
        execute(f"CREATE USER \"{user['name']}\" WITH PASSWORD '{user['password']}'{admin}")
        for database, privilege in user.get("grants", {}).items():
            execute(f'GRANT {privilege} ON "{database}" TO "{user["name"]}"')


def play(step: Case, world: World, client: AsgiClient, engine: Engine, log: list[str]) -> None:
    match step.get("action"):
        case "sleep":
            world.clock.ahead += step["seconds"]
            return
        case "jwks":
            assert world.key_server is not None
            world.key_server.set(step["entry"])
            return
        case "reload":
            world.configuration(**step["config"])
            client.call(reread(client.app))
            return
    expected = step.get("expect", {})
    before = users(engine)
    asked = len(world.key_server.asked) if world.key_server else 0
    if "token" in step or "request" in step:
        ask(step, world, client, expected, log)
    check_state(expected, before, users(engine), engine)
    check_keys(expected, world, asked)
    if "effective_cache_ttl_seconds" in expected:
        check_lifetime(step, world, client, expected["effective_cache_ttl_seconds"])


async def reread(app: Any) -> None:
    app.reconfigure()


def ask(
    step: Case,
    world: World,
    client: AsgiClient,
    expected: Case,
    log: list[str],
) -> None:
    count = step.get("repeat") or step.get("concurrency") or 1
    for kind in variants(step.get("token", {})):
        if "retry_seconds" in step:
            world.clock.ahead += 2  # the failed key source is fetched again
        texts = [token(step.get("token", {}), world, index, kind) for index in range(count)]
        with ThreadPoolExecutor(step.get("concurrency", 1)) as pool:
            answers = list(pool.map(lambda text: sent(step, world, client, text), texts))
        for text, answer in zip(texts, answers, strict=True):
            check_answer(expected, answer, text)
            if "log_must_not_contain" in expected:
                assert log and all(text not in line for line in log)
                stored = [path.read_bytes() for path in world.folder.glob("users.db*")]
                assert all(text.encode() not in content for content in stored)


def variants(spec: Case) -> list[str]:
    """Returns the malformations to test, one token each: `pad:0,1,2` stands for three."""
    for one in spec.get("mutate", ()):
        if one.startswith("pad:"):
            return [f"pad{number}" for number in one[4:].split(",")]
    return [spec["mutate"][0]] if spec.get("mutate") else [""]


def sent(step: Case, world: World, client: AsgiClient, text: str) -> Any:
    request = step.get("request", {})

    def filled(values: dict[str, str]) -> dict[str, str]:
        return {name: value.replace("$TOKEN", text) for name, value in values.items()}

    headers = list(filled(request.get("headers", {})).items())
    headers += [
        (name, value.replace("$TOKEN", text)) for name, value in request.get("headers_multi", ())
    ]
    if "basic" in request:
        pair = base64.b64encode(":".join(request["basic"]).encode()).decode()
        headers.append(("Authorization", f"Basic {pair}"))
    if not request:
        headers.append((world.options["header_name"] or "X-JWT-Assertion", text))
    return client.request(
        request.get("method", "GET"),
        request.get("path", "/api/whoami"),
        params=filled(request.get("query", {})),
        data=filled(request["form"]) if "form" in request else None,
        headers=headers,
    )


def listed(expected: Case, name: str) -> list[str]:
    """Returns the alternative texts of the option *name*, one of which the response must contain.

    The default is "", which every response contains.
    """
    found = expected.get(name, "")
    return found if isinstance(found, list) else [found]


def check_answer(expected: Case, answer: Any, text: str) -> None:
    if expected.get("accepted") is False:
        allowed = expected.get("status_in") or [expected.get("status")]
        if allowed != [None]:
            assert answer.status_code in allowed, answer.text
        assert answer.status_code in (400, 401, 403, 413, 431, 503), answer.text
        assert answer.json()["error"]
        assert any(word in answer.json()["error"] for word in listed(expected, "error_contains"))
    else:
        assert answer.status_code == expected.get("status", 200), answer.text
    assert not text or text not in answer.text
    assert all(name in answer.headers for name in expected.get("headers_present", ()))
    said = answer.json()
    for name, field in {"username": "name", "admin": "admin", "method": "method"}.items():
        assert name not in expected or said[field] == expected[name]
    for name in ("email", "full_name", "external_id"):
        assert name not in expected or said[name] == expected[name]
    if "grants" in expected:
        assert brief(said["grants"]) == expected["grants"]


def brief(grants: dict[str, str]) -> dict[str, str]:
    return {name: privilege.removesuffix(" PRIVILEGES") for name, privilege in grants.items()}


def users(engine: Engine) -> dict[str, bool]:
    return rows("SHOW USERS", engine)


def rows(text: str, engine: Engine) -> dict[Any, Any]:
    """Returns the second column of the result of *text*, by the first column."""
    (result,) = engine.query(text, UNRESTRICTED)
    return {row[0]: row[1] for row in result.series[0].values}


def check_state(
    expected: Case, before: dict[str, bool], after: dict[str, bool], engine: Engine
) -> None:
    if "user_created" in expected:
        assert (after.keys() != before.keys()) is expected["user_created"]
    name = expected.get("username")
    if "admin" in expected and name:
        assert after[name] is expected["admin"]
    if "grants" in expected and name:
        found = rows(f'SHOW GRANTS FOR "{name}"', engine)
        granted = {name: right for name, right in found.items() if right != "NO PRIVILEGES"}
        assert brief(granted) == expected["grants"]


def check_keys(expected: Case, world: World, before: int) -> None:
    if "attacker_requests" in expected:
        assert len(world.attacker.asked) == expected["attacker_requests"]
    if world.key_server is None:
        return
    asked = world.key_server.asked
    if "jwks_requests_min" in expected:
        # A refresh in the background may end after the response.
        deadline = time.monotonic() + 5
        while len(asked) < expected["jwks_requests_min"]:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert len(asked) == expected.get("jwks_requests", len(asked))
    assert len(asked) <= expected.get("jwks_requests_max", len(asked))
    for name, value in expected.get("jwks_request_headers", {}).items():
        assert asked[-1].get(name) == value


def check_lifetime(step: Case, world: World, client: AsgiClient, seconds: float) -> None:
    """Asserts that the key set is fetched again only after the first half of its lifetime."""
    assert world.key_server is not None
    text = token(step["token"], world, 0, "")
    for ahead, fetches in ((0.4, 1), (0.9, 2)):
        world.clock.ahead += ahead * seconds
        assert sent(step, world, client, text).status_code == 200
        assert len(world.key_server.asked) == fetches
