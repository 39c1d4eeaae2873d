"""Random tokens: Headgate accepts only tokens that the library joserfc accepts, and never fails."""

import asyncio
import json
import os
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, OctKey, OKPKey, RSAKey

from headgate_server.auth.errors import NoRights
from headgate_server.auth.jwt.issuers import IssuerRegistry
from headgate_server.auth.jwt.token_parser import TokenError
from headgate_server.config.jwt import JwtSettings
from support import made_tokens as made

EXAMPLES = int(os.environ.get("HEADGATE_TEST_TOKENS", "600"))
# joserfc warns about `EdDSA`, which has a newer name.
pytestmark = pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")

KEYS = {
    "rsa": made.key("rsa"),
    "ec": made.key("ec", "EC", "P-256"),
    "ed": made.key("ed", "OKP", "Ed25519"),
    "oct": made.key("oct", "oct", "64"),
}
STRANGERS = {
    "rsa": made.key("stranger"),
    "ec": made.key("stranger", "EC", "P-256"),
    "ed": made.key("stranger", "OKP", "Ed25519"),
    "oct": made.key("stranger", "oct", "64"),
}
ALGORITHMS = {
    "rsa": ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
    "ec": ["ES256"],
    "ed": ["EdDSA"],
    "oct": ["HS256", "HS384", "HS512"],
}
JWKS = {"keys": [made.jwk(key, kid=name) for name, key in KEYS.items()]}
OURS = JwtSettings(
    enabled=True,
    header_name="X-Token",
    username_claim="sub",
    jwk_set_value=json.dumps(JWKS),
    audiences=("here",),
    expect_claims={"iss": "https://idp"},
)
KINDS: dict[str, Any] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey, "oct": OctKey}
THEIRS = KeySet([KINDS[entry["kty"]].import_key(entry) for entry in JWKS["keys"]])
POLICY = jwt.JWTClaimsRegistry(
    leeway=60,
    iss={"essential": True, "value": "https://idp"},
    aud={"essential": True, "value": "here"},
    exp={"essential": True},
    sub={"essential": True},
)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)
ABOUT_NOW = st.integers(-200, 200).map(lambda seconds: int(time.time()) + seconds)
good_claims = st.fixed_dictionaries(
    {
        "sub": st.just("todd") | st.text(max_size=4),
        "iss": st.just("https://idp") | st.text(max_size=4),
        "aud": st.sampled_from(["here", ["there", "here"], "there", []]),
        "exp": ABOUT_NOW,
    },
    optional={"nbf": ABOUT_NOW, "iat": ABOUT_NOW},
)
some_claims = st.builds(
    lambda good, odd: good | odd,
    good_claims,
    st.just({})
    | st.dictionaries(st.sampled_from(["sub", "iss", "aud", "exp", "nbf", "x"]), values),
)


@st.composite
def tokens(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from(sorted(KEYS)))
    key = draw(st.sampled_from([KEYS, KEYS, KEYS, STRANGERS]))[name]
    algorithm = draw(st.sampled_from(ALGORITHMS[name]))
    header = {"kid": name} | draw(
        st.just({}) | st.dictionaries(st.sampled_from(["kid", "alg", "crit", "typ", "b64"]), values)
    )
    claims = draw(some_claims)
    text = made.token(key, claims, algorithm, header)
    if draw(st.integers(0, 3)) == 0:
        return mutated(draw, text)
    return text


def mutated(draw: st.DrawFn, text: str) -> str:
    place = draw(st.integers(0, len(text)))
    match draw(st.sampled_from(["cut", "put", "swap", "double"])):
        case "cut":
            return text[:place] + text[place + draw(st.integers(1, 9)) :]
        case "put":
            return text[:place] + draw(st.text(max_size=3)) + text[place:]
        case "swap":
            parts = text.split(".")
            return ".".join(draw(st.permutations(parts)))
        case _:
            return text + "." + text


def ours(text: str) -> bool:
    async def verify() -> bool:
        try:
            await IssuerRegistry(OURS).verify(text)
        except (TokenError, NoRights):
            return False
        return True

    return asyncio.run(verify())


def theirs(text: str) -> bool:
    algorithms = [name for names in ALGORITHMS.values() for name in names]
    try:
        token = jwt.decode(text, THEIRS, algorithms=algorithms)
        # Headgate reads a claim with null as absent, as Grafana's library does.
        POLICY.validate({name: it for name, it in token.claims.items() if it is not None})
    except (JoseError, ValueError):
        return False
    return True


@pytest.mark.slow
@settings(
    max_examples=int(os.environ.get("HEADGATE_TEST_TOKENS", 6 * settings().max_examples)),
    suppress_health_check=[HealthCheck.too_slow],
)
@given(tokens() | st.text() | st.from_regex(r"[\w-]{0,9}\.[\w-]{0,9}\.[\w-]{0,9}", fullmatch=True))
def test_what_is_taken_is_taken_by_another_library_too(text: str) -> None:
    if ours(text):
        assert theirs(text)


def test_the_comparison_is_no_empty_one() -> None:
    claims = {"sub": "todd", "iss": "https://idp", "aud": "here", "exp": int(time.time()) + 60}
    for name, key in KEYS.items():
        for algorithm in ALGORITHMS[name]:
            text = made.token(key, claims, algorithm, {"kid": name})
            assert ours(text) and theirs(text), algorithm
            text = made.token(STRANGERS[name], claims, algorithm, {"kid": name})
            assert not ours(text) and not theirs(text), algorithm
