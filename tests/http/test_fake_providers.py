"""The sign-in providers in the tests' process: what they accept, reject and record."""

import base64
import hashlib
import json
import secrets
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from urllib.request import Request

import pytest
import trustme
from joserfc import jwt
from joserfc.jwk import KeySet

from support.certificates import client_context
from support.fake_openid import FakeOpenID, at_hash
from support.key_server import Said
from support.plain_browser import Seen, client_authorization, fetched, opened, posted
from support.provider_server import NO_ANSWER, as_json

CALLBACK = "http://127.0.0.1:9/login/fake/callback"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=")
SCOPE = "openid email profile offline_access"


@pytest.fixture
def openid() -> Iterator[FakeOpenID]:
    with FakeOpenID() as provider:
        yield provider


def authorization_url(provider: FakeOpenID, **more: str) -> str:
    query = {
        "response_type": "code",
        "client_id": provider.client.id,
        "redirect_uri": CALLBACK,
        "scope": SCOPE,
        "state": "the state",
        "nonce": "the nonce",
        "code_challenge": CHALLENGE.decode(),
        "code_challenge_method": "S256",
    } | more
    return f"{provider.discovery['authorization_endpoint']}?{urlencode(query)}"


def basic(provider: FakeOpenID) -> str:
    return client_authorization(provider.client.id, provider.client.secret)


def code_form(callback: str, **more: str) -> dict[str, str]:
    """Returns the form that redeems the code of the URL *callback*."""
    query = dict(parse_qsl(urlsplit(callback).query))
    form = {"grant_type": "authorization_code", "code": query["code"], "redirect_uri": CALLBACK}
    return form | {"code_verifier": VERIFIER} | more


def redeem(provider: FakeOpenID, **more: str) -> Seen:
    form = code_form(provider.sign_in(authorization_url(provider)), **more)
    return posted(provider.discovery["token_endpoint"], form, basic(provider))


def refresh(provider: FakeOpenID, token: str) -> Seen:
    form = {"grant_type": "refresh_token", "refresh_token": token}
    return posted(provider.discovery["token_endpoint"], form, basic(provider))


def tokens(provider: FakeOpenID) -> dict[str, Any]:
    """Signs in; returns the answer of the token endpoint."""
    answer = redeem(provider)
    assert answer.status == 200, answer.text
    return dict(json.loads(answer.text))


def parts_of(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the header and the claims of *token*, without any check."""
    head, body, _ = token.split(".")
    decoded = (base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in (head, body))
    first, second = (json.loads(part) for part in decoded)
    return first, second


def test_a_sign_in_gives_an_id_token_that_another_library_verifies(openid: FakeOpenID) -> None:
    callback = openid.sign_in(authorization_url(openid))
    query = dict(parse_qsl(urlsplit(callback).query))
    assert callback.startswith(CALLBACK + "?")
    assert (query["state"], query["iss"]) == ("the state", openid.issuer)
    answer = posted(openid.discovery["token_endpoint"], code_form(callback), basic(openid))
    content = json.loads(answer.text)
    keys = KeySet.import_key_set(json.loads(fetched(openid.discovery["jwks_uri"]).text))
    claims = jwt.decode(content["id_token"], keys, algorithms=["RS256"]).claims
    assert claims["iss"] == openid.issuer and claims["aud"] == "headgate"
    assert (claims["sub"], claims["nonce"], claims["groups"]) == ("ann", "the nonce", ["staff"])
    assert claims["at_hash"] == at_hash(content["access_token"], "RS256")
    info = fetched(openid.discovery["userinfo_endpoint"], content["access_token"])
    assert json.loads(info.text) == {"sub": "ann"} | openid.accounts["ann"]
    assert fetched(openid.discovery["userinfo_endpoint"], "wrong").status == 401


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"code": "wrong"}, "invalid_grant"),
        ({"code_verifier": "w" * 43}, "invalid_grant"),
        ({"code_verifier": ""}, "invalid_grant"),
        ({"redirect_uri": CALLBACK + "/"}, "invalid_grant"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
)
def test_the_token_endpoint_rejects(openid: FakeOpenID, more: dict[str, str], error: str) -> None:
    answer = redeem(openid, **more)
    assert (answer.status, json.loads(answer.text)) == (400, {"error": error})


def test_a_client_authenticates_by_header_or_form(openid: FakeOpenID) -> None:
    secret = openid.client.secret
    raw = base64.b64encode(f"headgate:{secret}".encode()).decode()
    in_form = {"client_id": "headgate", "client_secret": secret}
    for authorization, form, status in (
        (basic(openid), {}, 200),
        ("", in_form, 200),
        (f"Basic {raw}", {}, 401),  # the secret is not form-encoded
        ("Basic ?", {}, 401),
        ("", {"client_id": "headgate"}, 401),
        ("", in_form | {"client_secret": "wrong"}, 401),
        ("", {}, 401),
    ):
        sent = code_form(openid.sign_in(authorization_url(openid)), **form)
        answer = posted(openid.discovery["token_endpoint"], sent, authorization)
        assert answer.status == status, (form, answer.text)


def test_a_second_use_of_a_code_or_a_refresh_token_ends_the_grant(openid: FakeOpenID) -> None:
    form = code_form(openid.sign_in(authorization_url(openid)))
    url = openid.discovery["token_endpoint"]
    first = json.loads(posted(url, form, basic(openid)).text)
    assert posted(url, form, basic(openid)).status == 400
    assert refresh(openid, first["refresh_token"]).status == 400
    old = tokens(openid)
    new = json.loads(refresh(openid, old["refresh_token"]).text)
    assert new["refresh_token"] != old["refresh_token"]
    assert refresh(openid, old["refresh_token"]).status == 400
    assert refresh(openid, new["refresh_token"]).status == 400


def test_a_removed_account_gets_nothing_more(openid: FakeOpenID) -> None:
    content = tokens(openid)
    del openid.accounts["ann"]
    assert json.loads(refresh(openid, content["refresh_token"]).text)["error"] == "invalid_grant"
    assert fetched(openid.discovery["userinfo_endpoint"], content["access_token"]).status == 401
    denied = openid.sign_in(authorization_url(openid))
    assert dict(parse_qsl(urlsplit(denied).query))["error"] == "access_denied"


def test_the_next_id_token_can_differ_in_each_part(openid: FakeOpenID) -> None:
    openid.change_id_token({"aud": ["a", "b"], "azp": "a"}, without=("nonce",), header={"kid": "?"})
    openid.change_id_token(algorithm="none")
    openid.change_id_token(algorithm="HS256")
    header, claims = parts_of(tokens(openid)["id_token"])
    assert (header["kid"], claims["aud"], claims["azp"]) == ("?", ["a", "b"], "a")
    assert "nonce" not in claims
    unsigned = tokens(openid)["id_token"]
    assert parts_of(unsigned)[0]["alg"] == "none" and unsigned.endswith(".")
    assert parts_of(tokens(openid)["id_token"])[0]["alg"] == "HS256"
    assert parts_of(tokens(openid)["id_token"])[1]["aud"] == "headgate"
    openid.rotate_key("ES256", keep=False)
    assert parts_of(tokens(openid)["id_token"])[0]["alg"] == "ES256"
    assert [it["kty"] for it in json.loads(fetched(openid.discovery["jwks_uri"]).text)["keys"]] == [
        "EC"
    ]


def test_any_answer_can_be_another(openid: FakeOpenID) -> None:
    openid.say("/token", as_json({"error": "temporarily_unavailable"}, 503), Said(status=NO_ANSWER))
    assert redeem(openid).status == 503
    with pytest.raises(ConnectionError):
        redeem(openid)
    openid.change("/token", {"token_type": "mac"}, without=("id_token",))
    changed = tokens(openid)
    assert changed["token_type"] == "mac" and "id_token" not in changed
    openid.always_say("/keys", Said(500, b"", {"Retry-After": "9"}))
    answers = [fetched(openid.discovery["jwks_uri"]) for _ in range(2)]
    assert [(it.status, it.headers["retry-after"]) for it in answers] == [(500, "9")] * 2
    openid.restore("/keys")
    assert fetched(openid.discovery["jwks_uri"]).status == 200
    openid.stop()
    with pytest.raises(ConnectionError):
        fetched(openid.discovery["jwks_uri"])
    openid.start()
    assert fetched(openid.discovery["jwks_uri"]).status == 200


def test_each_request_is_recorded(openid: FakeOpenID) -> None:
    state = secrets.token_hex(4)
    openid.sign_in(authorization_url(openid, state=state))
    redeem(openid)
    [first, _] = openid.requests("/authorize")
    assert (first.method, first.query["state"]) == ("GET", state)
    [redeemed] = openid.requests("/token")
    assert redeemed.form["grant_type"] == "authorization_code"
    assert redeemed.authorization == basic(openid)
    assert openid.client.secret not in repr(openid.asked)


def test_signing_out_redirects_with_the_state(openid: FakeOpenID) -> None:
    query = urlencode({"post_logout_redirect_uri": "http://127.0.0.1:9/login?out=1", "state": "s"})
    answer = fetched(f"{openid.discovery['end_session_endpoint']}?{query}")
    assert answer.location == "http://127.0.0.1:9/login?out=1&state=s"
    signed_in = parts_of(tokens(openid)["id_token"])[1]
    header, claims = parts_of(openid.logout_token("ann", openid.session))
    assert header["typ"] == "logout+jwt" and "nonce" not in claims
    assert (claims["sub"], claims["sid"]) == ("ann", signed_in["sid"])


@pytest.mark.slow
def test_a_provider_can_use_tls(authority: trustme.CA) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    trusting = client_context(authority)
    with FakeOpenID(tls=context) as provider:
        assert provider.issuer.startswith("https://localhost:")
        request = Request(provider.url + provider.discovery_path)
        with pytest.raises(ssl.SSLCertVerificationError):
            opened(request)
        found = json.loads(opened(request, trusting).text)
        assert found["issuer"] == provider.issuer
        assert provider.sign_in(authorization_url(provider)).startswith(CALLBACK)
