"""Tokens signed with the shared secret that differ from those of InfluxDB 1.x."""

import pytest

from headgate_server.auth.errors import Unauthenticated
from headgate_server.auth.shared_secret import SharedSecretVerifier, verify_token
from support import made_tokens as made

SECRET = "s" * 40
TIMES = '"exp": 33333333333'


@pytest.mark.parametrize(
    "claims",
    [
        f'{{"username": "root", "username": "todd", {TIMES}}}',
        f'{{"username": "todd", "username": "todd", {TIMES}}}',
        f'{{"username": "root", "\\u0075sername": "todd", {TIMES}}}',
        f'{{"username": "todd", {TIMES}, {TIMES}}}',
        f'{{"username": "todd", {TIMES}, "x": [{{"y": 1, "y": 1}}]}}',
    ],
)
def test_a_claim_that_is_there_twice_is_refused(claims: str) -> None:
    text = made.token(SECRET.encode(), claims, "HS256")
    with pytest.raises(Unauthenticated, match="malformed: duplicate name in the claims"):
        verify_token(text, [SECRET])
    with pytest.raises(Unauthenticated, match="malformed: duplicate name in the claims"):
        SharedSecretVerifier([SECRET]).verify(text)


def test_a_header_with_a_name_twice_is_refused() -> None:
    head = made.coded(b'{"alg": "HS512", "alg": "HS256"}')
    payload = made.coded(f'{{"username": "todd", {TIMES}}}'.encode())
    signed = f"{head}.{payload}"
    text = f"{signed}.{made.coded(made.signature('HS256', SECRET.encode(), signed.encode()))}"
    with pytest.raises(Unauthenticated, match="malformed: duplicate name in the header"):
        verify_token(text, [SECRET])


@pytest.mark.parametrize("pad", ["", "x", "xx"])
def test_a_token_that_was_signed_with_its_padding_is_good(pad: str) -> None:
    claims = f'{{"username": "todd", {TIMES}, "pad": "{pad}"}}'
    assert (
        verify_token(made.token(SECRET.encode(), claims, "HS256", padded=True), [SECRET]) == "todd"
    )
