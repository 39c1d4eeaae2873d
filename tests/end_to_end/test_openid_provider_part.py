"""The certified OpenID provider that the tests of single sign-on use, by plain HTTP."""

import base64
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from support.browser import CHROMIUM, chromium, context_of
from support.openid_provider import (
    OpenIDProvider,
    ProviderClient,
    approve_device,
    needs_node,
    sign_in_at_provider,
    sign_out_at_provider,
)
from support.plain_browser import PlainBrowser, Seen, client_authorization, fetched, posted
from support.provider_server import Asked, ProviderServer, as_json
from support.waiting import poll_until

pytestmark = needs_node
needs_chromium = pytest.mark.skipif(
    not CHROMIUM and not os.environ.get("CI"), reason="Debian's chromium is not installed"
)

CALLBACK = "http://127.0.0.1:9/login/op/callback"
SIGNED_OUT = "http://127.0.0.1:9/login?signed_out=1"
CLIENT = ProviderClient(redirect_uris=(CALLBACK,), post_logout_redirect_uris=(SIGNED_OUT,))
TELEVISION = ProviderClient("television", token_endpoint_auth_method="none")
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=")


class Receiver(ProviderServer):
    """Accepts logout tokens and callbacks."""

    def respond(self, asked: Asked) -> Any:
        return as_json({})


def authorization_url(provider: OpenIDProvider, **more: str) -> str:
    query = {
        "response_type": "code",
        "client_id": CLIENT.client_id,
        "redirect_uri": CALLBACK,
        "scope": "openid email profile",
        "state": "the state",
        "nonce": "the nonce",
        "code_challenge": CHALLENGE.decode(),
        "code_challenge_method": "S256",
    } | more
    kept = {name: value for name, value in query.items() if value}
    return f"{provider.discovery['authorization_endpoint']}?{urlencode(kept)}"


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


def token_request(provider: OpenIDProvider, form: Mapping[str, str]) -> Seen:
    header = client_authorization(CLIENT.client_id, CLIENT.client_secret)
    return posted(provider.discovery["token_endpoint"], form, header)


def redeem(provider: OpenIDProvider, callback: str, verifier: str = VERIFIER) -> Seen:
    form = {"grant_type": "authorization_code", "redirect_uri": CALLBACK}
    form |= {"code": query_of(callback)["code"], "code_verifier": verifier}
    return token_request(provider, form)


def refresh(provider: OpenIDProvider, token: str) -> Seen:
    return token_request(provider, {"grant_type": "refresh_token", "refresh_token": token})


def tokens(provider: OpenIDProvider, browser: PlainBrowser | None = None) -> dict[str, Any]:
    """Signs ann in; returns the answer of the token endpoint."""
    callback = sign_in_at_provider(authorization_url(provider), "ann", browser=browser)
    answer = redeem(provider, callback)
    assert answer.status == 200, answer.text
    return dict(json.loads(answer.text))


def claims_of(provider: OpenIDProvider, token: str) -> dict[str, Any]:
    keys = KeySet.import_key_set(json.loads(fetched(provider.discovery["jwks_uri"]).text))
    return jwt.decode(token, keys, algorithms=["RS256"]).claims


@pytest.fixture
def provider(start_openid: Callable[..., OpenIDProvider]) -> OpenIDProvider:
    return start_openid(CLIENT, TELEVISION, access_token_seconds=60)


def test_a_sign_in_ends_at_the_callback_with_the_claims_of_the_account(
    provider: OpenIDProvider,
) -> None:
    callback = sign_in_at_provider(authorization_url(provider), "ann")
    assert callback.startswith(CALLBACK + "?")
    query = query_of(callback)
    assert (query["state"], query["iss"]) == ("the state", provider.issuer)
    content = json.loads(redeem(provider, callback).text)
    assert (content["token_type"], content["expires_in"]) == ("Bearer", 60)
    claims = claims_of(provider, content["id_token"])
    assert (claims["sub"], claims["aud"], claims["nonce"]) == ("ann", "headgate", "the nonce")
    assert (claims["email"], claims["email_verified"]) == ("ann@example.com", True)
    assert (claims["preferred_username"], claims["groups"]) == ("ann", ["staff"])
    info = fetched(provider.discovery["userinfo_endpoint"], content["access_token"])
    assert json.loads(info.text)["groups"] == ["staff"]
    assert provider.seen == [{"grant_type": "authorization_code", "status": 200}]


@needs_chromium
def test_a_browser_signs_in_and_consents(start_openid: Callable[..., OpenIDProvider]) -> None:
    with Receiver(host="127.0.0.1") as receiver, chromium() as browser:
        callback = f"{receiver.url}/callback"
        provider = start_openid(ProviderClient(redirect_uris=(callback,)))
        page = context_of(browser).new_page()
        page.goto(authorization_url(provider, redirect_uri=callback))
        page.get_by_label("Login").fill("ann")
        page.get_by_label("Password").fill("any")
        page.get_by_role("button", name="Continue").click()
        page.get_by_role("heading", name="Consent").wait_for()
        page.get_by_role("button", name="Continue").click()
        page.wait_for_url(f"{callback}?*")
        [asked] = receiver.requests("/callback")
    assert asked.query["state"] == "the state" and asked.query["code"]


def test_the_provider_rejects(provider: OpenIDProvider) -> None:
    denied = sign_in_at_provider(authorization_url(provider), "ann", consent=False)
    assert query_of(denied)["error"] == "access_denied"
    without = authorization_url(provider, code_challenge="", code_challenge_method="")
    assert query_of(sign_in_at_provider(without, "ann"))["error"] == "invalid_request"
    with pytest.raises(AssertionError, match="403"):
        sign_in_at_provider(authorization_url(provider), "mallory")
    callback = sign_in_at_provider(authorization_url(provider), "ann")
    assert json.loads(redeem(provider, callback, "w" * 43).text)["error"] == "invalid_grant"


def test_refresh_tokens_rotate_and_bring_changed_claims(provider: OpenIDProvider) -> None:
    first = tokens(provider)
    provider.set_claims("ann", groups=["others"], name=None)
    provider.set_access_token_seconds(2)
    second = json.loads(refresh(provider, first["refresh_token"]).text)
    assert second["refresh_token"] != first["refresh_token"] and second["expires_in"] == 2
    claims = claims_of(provider, second["id_token"])
    assert claims["groups"] == ["others"] and "name" not in claims
    again = refresh(provider, first["refresh_token"])
    assert json.loads(again.text)["error"] == "invalid_grant"
    assert refresh(provider, second["refresh_token"]).status == 400


def test_a_removed_account_cannot_refresh(provider: OpenIDProvider) -> None:
    content = tokens(provider)
    provider.remove_account("ann")
    answer = refresh(provider, content["refresh_token"])
    assert (answer.status, json.loads(answer.text)["error"]) == (400, "invalid_grant")


def test_the_token_endpoint_can_fail_for_a_while(provider: OpenIDProvider) -> None:
    content = tokens(provider)
    provider.fail_token_requests(2, status=503)
    statuses = [refresh(provider, content["refresh_token"]).status for _ in range(3)]
    assert statuses == [503, 503, 200]
    assert [seen["status"] for seen in provider.seen] == [200, 503, 503, 200]


def test_signing_out_at_the_provider_sends_a_logout_token(
    start_openid: Callable[..., OpenIDProvider],
) -> None:
    with Receiver(host="127.0.0.1") as receiver:
        client = ProviderClient(
            redirect_uris=(CALLBACK,),
            post_logout_redirect_uris=(SIGNED_OUT,),
            backchannel_logout_uri=f"{receiver.url}/logout",
        )
        provider, browser = start_openid(client), PlainBrowser()
        content = tokens(provider, browser)
        query = {"id_token_hint": content["id_token"], "post_logout_redirect_uri": SIGNED_OUT}
        url = f"{provider.discovery['end_session_endpoint']}?{urlencode(query | {'state': 's'})}"
        assert sign_out_at_provider(url, browser) == f"{SIGNED_OUT}&state=s"
        poll_until(lambda: bool(receiver.requests("/logout")), "no logout token")
        [asked] = receiver.requests("/logout")
    session = claims_of(provider, content["id_token"])["sid"]
    claims = claims_of(provider, asked.form["logout_token"])
    assert (claims["sub"], claims["sid"]) == ("ann", session)
    assert "http://schemas.openid.net/event/backchannel-logout" in claims["events"]


def test_a_device_is_approved_at_the_provider(provider: OpenIDProvider) -> None:
    found, client = provider.discovery, {"client_id": "television"}
    url = found["device_authorization_endpoint"]
    begun = json.loads(posted(url, client | {"scope": "openid email"}).text)
    grant = {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "device_code": begun["device_code"],
    }
    waiting = json.loads(posted(found["token_endpoint"], client | grant).text)
    assert waiting["error"] == "authorization_pending"
    approve_device(begun["verification_uri"], begun["user_code"], "ann")
    content = json.loads(posted(found["token_endpoint"], client | grant).text)
    assert claims_of(provider, content["id_token"])["sub"] == "ann"
