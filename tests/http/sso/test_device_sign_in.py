"""People sign a terminal in by a code that they enter on another device (RFC 8628)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.account_requests import cookie_of, send
from support.audit_records import audit_records
from support.console_requests import Visitor, page_text
from support.fake_openid import FakeOpenID
from support.key_server import Said
from support.local_server import LocalServer
from support.provider_server import as_json
from support.servers import ROOT
from support.sso import provider_table, serve_with
from support.terminal_requests import TERMINAL, device, post, reason, redeem

pytest_plugins = ("support.fake_openid_fixtures",)

Serve = Callable[..., LocalServer]


@pytest.fixture
def server(serve: Serve, tmp_path: Path, provider: FakeOpenID) -> LocalServer:
    return serve_with(serve, tmp_path, provider_table(provider))


def test_a_device_signs_a_person_in(server: LocalServer, provider: FakeOpenID) -> None:
    begun = device(server, {"provider": "corp"})
    assert begun.status == 200, begun.body
    handle = begun.json["handle"]
    assert begun.json | {"handle": ""} == {
        "verificationUri": f"{provider.url}/activate",
        "verificationUriComplete": f"{provider.url}/activate?user_code=WDJB-MJHT",
        "userCode": "WDJB-MJHT",
        "expiresIn": 600,
        "interval": 1,
        "handle": "",
    }
    asked = provider.requests("/device")[0]
    assert asked.form["scope"] == "openid email profile"
    pending = device(server, {"handle": handle})
    assert (pending.status, pending.json) == (202, {"status": "pending", "interval": 1})
    provider.approve_devices("ann")
    done = device(server, {"handle": handle})
    assert done.status == 200, done.body
    assert done.json["user"]["name"] == "ann"
    assert (done.json["session"]["method"], done.json["session"]["provider"]) == ("oauth", "corp")
    token = cookie_of(done)
    assert send(server, "GET", "/api/user", cookie=token).json["name"] == "ann"
    assert "-- session begins (oauth corp)" in [it.statement for it in audit_records(server)]
    assert device(server, {"handle": handle}).status == 403  # a handle is valid once
    server.secrets |= {handle, token}


def test_one_provider_needs_no_name(server: LocalServer) -> None:
    assert device(server).status == 200


SLOW = {
    "pending": ("authorization_pending", 202, 1),
    "slower": ("slow_down", 202, 6),
    "denied": ("access_denied", 403, "you, or the provider, said no"),
    "expired": ("expired_token", 403, "the sign-in took too long, begin again"),
    "used": ("invalid_grant", 403, "the sign-in has ended, try again"),
    "unknown": ("invalid_client", 502, "the provider did not answer as expected, try again"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("error", "status", "told"), SLOW.values(), ids=SLOW.keys())
def test_what_the_token_endpoint_may_answer_for_a_device(
    server: LocalServer, provider: FakeOpenID, error: str, status: int, told: Any
) -> None:
    handle = device(server).json["handle"]
    provider.say("/token", as_json({"error": error}, 400))
    answer = device(server, {"handle": handle})
    assert answer.status == status, answer.body
    if status == 202:
        assert answer.json == {"status": "pending", "interval": told}
    else:
        assert answer.error == told
        assert reason(server, "-- login (oauth corp)")


@pytest.mark.slow
def test_the_checks_of_a_callback_hold_for_a_device(
    server: LocalServer, provider: FakeOpenID
) -> None:
    handle = device(server).json["handle"]
    provider.approve_devices("ann")
    provider.change_id_token({"aud": "other"})
    answer = device(server, {"handle": handle})
    assert (answer.status, answer.error) == (403, "this account may not sign in here")
    assert len(send(server, "GET", "/api/users").json) == 1
    assert reason(server, "-- login (oauth corp)").startswith("ID token")


BROKEN = {
    "no code": ({"user_code": "A", "verification_uri": "https://p.example"}, 502),
    "no URL": ({"device_code": "d", "user_code": "A"}, 502),
    "a script": ({"device_code": "d", "user_code": "A", "verification_uri": "javascript:x"}, 502),
    "a control": (
        {"device_code": "d", "user_code": "A\x1b[2J", "verification_uri": "https://p.example"},
        502,
    ),
    "an error": ({"error": "invalid_client"}, 502),
    "the least": (
        {"device_code": "d", "user_code": "A", "verification_url": "https://p.example"},
        200,
    ),
}


@pytest.mark.parametrize(("answer", "status"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_device_endpoint_is_told_as_such(
    server: LocalServer, provider: FakeOpenID, answer: dict[str, str], status: int
) -> None:
    provider.say("/device", as_json(answer))
    begun = device(server)
    assert begun.status == status, begun.body
    if status == 200:
        assert (begun.json["interval"], begun.json["expiresIn"]) == (5, 600)
        assert "verificationUriComplete" not in begun.json


REFUSED = {
    "another provider": ({"provider": "other"}, 404),
    "no text": ({"provider": 1}, 400),
    "both": ({"provider": "corp", "handle": "x"}, 400),
    "unknown member": ({"name": "corp"}, 400),
    "no handle": ({"handle": ""}, 403),
    "a forged handle": ({"handle": "gAAAAAB" + "x" * 100}, 403),
    "a long handle": ({"handle": "x" * 20_000}, 403),
    "no ASCII": ({"handle": "\u00e9"}, 403),
}


@pytest.mark.parametrize(("content", "status"), REFUSED.values(), ids=REFUSED.keys())
def test_requests_for_a_device_that_are_refused(
    server: LocalServer, content: Any, status: int
) -> None:
    assert device(server, content).status == status


@pytest.mark.slow
def test_sign_ins_on_devices_that_no_person_approves_are_delayed(
    server: LocalServer, provider: FakeOpenID
) -> None:
    answers = [device(server) for _ in range(8)]
    assert [one.status for one in answers] == [200] * 5 + [429] * 3
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 2
    assert len(provider.requests("/device")) == 5
    # The other ways to sign in are not delayed, and an approved sign-in takes the delay away.
    assert server.query("SHOW DATABASES", ROOT).status == 200
    provider.approve_devices("ann")
    assert device(server, {"handle": answers[0].json["handle"]}).status == 200
    assert device(server).status == 200


def test_without_a_console_the_sign_in_page_leads_nowhere(
    serve: Serve, tmp_path: Path, provider: FakeOpenID
) -> None:
    table = provider_table(provider) + '[console]\nenabled = "false"\n'
    server = serve_with(serve, tmp_path, table)
    assert Visitor(server, *ROOT).get("/login").status == 200


def test_a_provider_that_is_away_delays_no_sign_in_on_a_device(
    server: LocalServer, provider: FakeOpenID
) -> None:
    provider.always_say("/device", lambda asked: Said(503, b"", {}))
    assert [device(server).status for _ in range(8)] == [502] * 8
    provider.restore("/device")
    assert device(server).status == 200


def test_a_page_of_another_site_begins_no_device_sign_in(server: LocalServer) -> None:
    assert device(server, Sec_Fetch_Site="cross-site").status == 403
    assert device(server, Origin="https://evil.example").status == 403
    code = post(
        server, "/api/session/code", {"code": "", "verifier": ""}, Sec_Fetch_Site="same-site"
    )
    assert code.status == 403


def test_a_provider_without_device_authorization(
    serve: Serve, tmp_path: Path, provider: FakeOpenID
) -> None:
    del provider.discovery["device_authorization_endpoint"]
    server = serve_with(serve, tmp_path, provider_table(provider))
    answer = device(server)
    assert (answer.status, answer.error) == (501, "the provider has no device authorization")


def test_without_providers_or_users_no_terminal_signs_in(
    serve: Serve, tmp_path: Path, provider: FakeOpenID
) -> None:
    plain = serve().bootstrap()
    assert device(plain).status == 404
    assert redeem(plain, "x").status == 404
    assert "terminal" not in page_text(Visitor(plain).get(f"/login?{TERMINAL}"))
    path = tmp_path / "empty.toml"
    path.write_text(f'[http]\nbase-url = "http://x"\n{provider_table(provider)}')
    path.chmod(0o600)
    empty = serve("--config", str(path))
    assert device(empty).status == 403
    assert not provider.requests("/device")


def test_two_providers_need_a_name(serve: Serve, tmp_path: Path, provider: FakeOpenID) -> None:
    server = serve_with(serve, tmp_path, provider_table(provider), provider_table(provider, "two"))
    answer = device(server)
    assert (answer.status, answer.error) == (400, "provider: expected one of corp, two")
    assert device(server, {"provider": "two"}).status == 200
