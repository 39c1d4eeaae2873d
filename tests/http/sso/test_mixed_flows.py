"""Sign-ins whose parts come from different flows, providers or times; two workers that refresh."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, replace
from operator import methodcaller
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from headgate_engine import (
    Audit,
    Engine,
    Passwords,
    ProviderSession,
    SessionTokens,
    SqliteStore,
)
from headgate_server.auth.oauth.login_flow import FLOW_SECONDS, new_flow, opened_flow
from headgate_server.auth.sealing import Sealer
from support.account_requests import COOKIE
from support.console_requests import Visitor
from support.fake_openid import FakeOpenID
from support.local_server import LocalServer
from support.sso import path_of, provider_table, serve_with

Serve = Callable[..., LocalServer]


@pytest.fixture
def provider() -> Iterator[FakeOpenID]:
    with FakeOpenID() as provider:
        provider.accounts["bob"] = {"preferred_username": "bob"}
        yield provider


def callback_of(visitor: Visitor, provider: FakeOpenID, login: str, start: str) -> dict[str, str]:
    """Returns the parameters of the callback of a new sign-in of *login*."""
    url = path_of(provider.sign_in(visitor.get(start).headers["Location"], login))
    pairs = (pair.partition("=") for pair in url.partition("?")[2].split("&"))
    return {name: value for name, _, value in pairs}


def test_a_code_of_another_flow_signs_no_one_in(
    serve: Serve, tmp_path: Path, provider: FakeOpenID
) -> None:
    server = serve_with(serve, tmp_path, provider_table(provider))
    victim, attacker = Visitor(server), Visitor(server)
    own = callback_of(victim, provider, "ann", "/login/corp")
    stolen = callback_of(attacker, provider, "bob", "/login/corp")
    mixed = f"/login/corp/callback?state={own['state']}&code={stolen['code']}&iss={own['iss']}"
    assert victim.get(mixed).status == 403 and COOKIE not in victim.cookies
    # Nor does the attacker's own whole callback in the victim's browser.
    whole = "&".join(f"{name}={value}" for name, value in stolen.items())
    assert victim.get(f"/login/corp/callback?{whole}").status == 400


def test_an_answer_of_another_provider_signs_no_one_in(
    serve: Serve, tmp_path: Path, provider: FakeOpenID
) -> None:
    with FakeOpenID("other-client") as other:
        tables = (provider_table(provider), provider_table(other, "other"))
        server = serve_with(serve, tmp_path, *tables)
        visitor = Visitor(server)
        answer = callback_of(visitor, other, "ann", "/login/other")
        query = "&".join(f"{name}={value}" for name, value in answer.items())
        assert visitor.get(f"/login/corp/callback?{query}").status == 400
        own = callback_of(visitor, provider, "ann", "/login/corp")
        mixed = own | {"code": answer["code"], "iss": answer["iss"]}
        query = "&".join(f"{name}={value}" for name, value in mixed.items())
        assert visitor.get(f"/login/corp/callback?{query}").status == 403
        assert COOKIE not in visitor.cookies


def test_a_flow_lasts_ten_minutes(tmp_path: Path) -> None:
    sealer = Sealer(str(tmp_path / "keys"))
    flow = new_flow("corp", "/console/")
    assert opened_flow(flow.sealed(sealer), sealer) == flow
    fernet = Fernet((tmp_path / "keys").read_bytes().strip())
    content = json.dumps(asdict(flow)).encode()
    for age, is_good in ((FLOW_SECONDS - 5, True), (FLOW_SECONDS + 1, False)):
        old = fernet.encrypt_at_time(content, int(time.time()) - age).decode()
        assert (opened_flow(old, sealer) == flow) is is_good
    assert opened_flow("nonsense", sealer) is None
    assert "verifier" not in repr(flow) and flow.nonce not in repr(flow)


def test_a_key_that_was_replaced_opens_what_it_has_sealed(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    sealed = Sealer(str(path)).seal(b"content")
    path.write_bytes(Fernet.generate_key() + b"\n" + path.read_bytes())
    newer = Sealer(str(path))
    assert newer.open(sealed) == b"content"
    assert Sealer(str(tmp_path / "other")).open(sealed) is None
    with pytest.raises(OSError, match="expected lines of 32 bytes"):
        (tmp_path / "bad").write_text("x", "utf-8")
        Sealer(str(tmp_path / "bad")).seal(b"x")


def test_two_workers_create_one_key(tmp_path: Path) -> None:
    path = str(tmp_path / "keys")
    with ThreadPoolExecutor(8) as pool:
        sealed = [*pool.map(lambda _: Sealer(path).seal(b"x"), range(16))]
    assert all(Sealer(path).open(it) == b"x" for it in sealed)
    assert [it.name for it in tmp_path.iterdir()] == ["keys"]


def test_one_of_two_workers_asks_the_provider(tmp_path: Path) -> None:
    now = [time.time()]
    stores = [SqliteStore(tmp_path / "users.db") for _ in range(2)]
    engines = [Engine(store, Passwords(4), clock=lambda: now[0]) for store in stores]
    stores[0].transact(methodcaller("add_user", "ann", "hash", False), Audit("", "", ""))
    user = engines[0].user("ann")
    assert user is not None
    origin = ProviderSession("corp", access_expires_at=int(now[0]), tokens=SessionTokens(b"r"))
    session, _ = engines[0].sessions.begin(user, "oauth", origin=origin)
    leases = [engine.provider_sessions.take_lease(session) for engine in engines * 3]
    assert leases == [SessionTokens(b"r")] + [None] * 5
    # A worker that dies leaves the lease for 45 s.
    now[0] += 44
    assert engines[1].provider_sessions.take_lease(session) is None
    now[0] += 2
    assert engines[1].provider_sessions.take_lease(session) is not None
    renewed = SessionTokens(b"new", refreshing_until=int(now[0]) + 15, failures=3)
    engines[1].provider_sessions.confirm(session, renewed, int(now[0]) + 60)
    stored = stores[0].session_tokens(session.id)
    assert stored == replace(renewed, refreshing_until=0, failures=0)
    assert engines[0].provider_sessions.take_lease(session) is None  # the access is confirmed
    now[0] += 61
    assert engines[0].provider_sessions.take_lease(session) is not None
    engines[0].provider_sessions.postpone(session, 20)
    now[0] += 19
    assert engines[1].provider_sessions.take_lease(session) is None
    now[0] += 2
    tokens = engines[1].provider_sessions.take_lease(session)
    assert tokens is not None and tokens.failures == 1
    for store in stores:
        with closing(store):
            pass
