"""JSON Web Tokens signed with the shared secret, as InfluxDB 1.x accepts them. Uses PyJWT.

The text of an error is that of InfluxDB, if all versions 1.x have the same text for the error.
"""

import base64
import hashlib
import json
import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from secrets import token_bytes
from typing import Any, NoReturn

import jwt
from jwt.algorithms import HMACAlgorithm

from headgate_grammar import GenerationalCache
from headgate_server.auth.errors import Unauthenticated

_ALGORITHMS = {
    "HS256": HMACAlgorithm(HMACAlgorithm.SHA256),
    "HS384": HMACAlgorithm(HMACAlgorithm.SHA384),
    "HS512": HMACAlgorithm(HMACAlgorithm.SHA512),
}
# Algorithms that exist but are not accepted: the error is "unexpected signing method". For any
# other name the error is "unavailable", as in InfluxDB.
_REJECTED_ALGORITHMS = frozenset(
    {"none"} | {f"{family}{size}" for family in ("RS", "ES", "PS") for size in (256, 384, 512)}
)
_MAX_TOKEN_CHARS = 16_384
_MAX_CACHED_TOKENS = 10_000

_JWS = jwt.PyJWS(algorithms=list(_ALGORITHMS))
# InfluxDB accepts secrets of any length. Warning filters are global for the process, so the filter
# is set at import and not in a request.
warnings.filterwarnings("ignore", category=jwt.InsecureKeyLengthWarning)


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a token. Times are seconds since 1970.

    A time is None if its claim is missing or is not a number.
    """

    username: object
    expires_at: float | None
    issued_at: float | None
    not_before: float | None

    def valid_username(self, now: float) -> str:
        """Returns the user name. Raises Unauthenticated if a claim is invalid at *now*."""
        if not self.expires_at:
            raise Unauthenticated("token expiration required")
        if now > math.floor(self.expires_at) + 1:
            raise Unauthenticated("Token is expired")
        if self.not_before is not None and now < math.floor(self.not_before):
            raise Unauthenticated("Token is not valid yet")
        if self.issued_at is not None and now < math.floor(self.issued_at):
            raise Unauthenticated("Token used before issued")
        if not isinstance(self.username, str):
            raise Unauthenticated("username in token must be a string")
        if not self.username:
            raise Unauthenticated("token must contain a username")
        return self.username


def verify_token(token: str, secrets: Sequence[str], clock: Callable[[], float] = time.time) -> str:
    """Returns the user name in *token*, after verifying its signature and its times.

    The claim `exp` is required. `nbf` and `iat` are checked if they are numbers; other claims are
    ignored. Raises Unauthenticated if the token is not signed with one of *secrets*, or is not
    valid now.
    """
    return _verify(token, secrets).valid_username(clock())


class SharedSecretVerifier:
    """Verifies tokens signed with one of *secrets*, with a cache of verified tokens.

    The cache holds a keyed digest of each token instead of the token. Signature and claims are
    verified once; the times are checked for each request.
    """

    def __init__(self, secrets: Sequence[str], clock: Callable[[], float] = time.time) -> None:
        self.secrets, self._clock = secrets, clock
        self._key = token_bytes(32)
        self._cache: GenerationalCache[bytes, Claims] = GenerationalCache(_MAX_CACHED_TOKENS)

    def verify(self, token: str) -> tuple[str, Claims]:
        """Returns the user name in *token*, and its claims.

        Raises Unauthenticated if *token* is not valid now.
        """
        text = token.encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(text, key=self._key, digest_size=32).digest()
        claims = self._cache.get(digest)
        if claims is not None:
            return claims.valid_username(self._clock()), claims
        claims = _verify(token, self.secrets)
        name = claims.valid_username(self._clock())
        self._cache.put(digest, claims)
        return name, claims


def _verify(token: str, secrets: Sequence[str]) -> Claims:
    """Returns the claims of *token*, without checking its times.

    Raises Unauthenticated if the token is not signed with one of *secrets*.
    """
    if not secrets:
        raise Unauthenticated("bearer auth disabled")
    try:
        token.encode()
    except UnicodeEncodeError:  # the header had bytes that are invalid UTF-8
        raise Unauthenticated("token is malformed: invalid UTF-8") from None
    if len(token) > _MAX_TOKEN_CHARS:
        raise Unauthenticated("token is malformed: token too long")
    parts = _split(token)
    claims = _parse_claims(parts.payload)
    _check_signature(parts, secrets)
    return Claims(
        claims.get("username"),
        _parse_time(claims.get("exp")),
        _parse_time(claims.get("iat")),
        _parse_time(claims.get("nbf")),
    )


def mint(
    name: str,
    secret: str,
    expires: float,
    algorithm: str = "HS256",
    *,
    issued_at: float | None = None,
) -> str:
    """Returns a token for the user *name*, signed with *secret*.

    *expires* and *issued_at* are in seconds since 1970. *expires* is rounded up, and *issued_at*
    down. None: the token has no `iat`, and does not end with the user's password.
    """
    content: dict[str, object] = {"username": name, "exp": math.ceil(expires)}
    if issued_at is not None:
        content["iat"] = math.floor(issued_at)
    claims = json.dumps(content).encode()
    return _JWS.encode(claims, secret, algorithm, {"typ": "JWT"})


def is_shared_secret_token(token: str) -> bool:
    """Returns whether the shared secret may have signed *token*.

    That is so if the header has an HMAC algorithm and no `kid`. Does not verify the token.
    """
    if not token.isascii() or len(token) > _MAX_TOKEN_CHARS:
        return False
    try:
        header = _JWS.get_unverified_header(token)
    except jwt.InvalidTokenError:
        return False
    return header.get("alg") in _ALGORITHMS and "kid" not in header


def check_secret(secret: str) -> None:
    """Raises ValueError if *secret* cannot sign by HS256: an asymmetric key, or invalid UTF-8."""
    try:
        HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(secret)
    except (jwt.PyJWTError, UnicodeEncodeError):
        raise ValueError("an asymmetric key or invalid UTF-8 cannot sign HS256") from None


@dataclass(frozen=True, slots=True)
class _TokenParts:
    """The parts of a token.

    *payload* is the JSON of the claims. *signing_input* is the text that *signature* must cover:
    header and claims, still encoded in base64url.
    """

    algorithm: HMACAlgorithm
    payload: bytes
    signing_input: bytes
    signature: bytes = field(repr=False)


def _split(token: str) -> _TokenParts:
    """Splits *token*, without verifying it. Raises Unauthenticated if it is malformed."""
    if token.count(".") != 2:
        raise Unauthenticated("token contains an invalid number of segments")
    try:
        decoded = _JWS.decode_complete(token, options={"verify_signature": False})
    except jwt.InvalidTokenError as error:
        raise Unauthenticated(f"token is malformed: {error}") from None
    _check_header(token)
    algorithm = decoded["header"].get("alg")
    if not isinstance(algorithm, str):
        raise Unauthenticated("signing method (alg) is unspecified.")
    if algorithm not in _ALGORITHMS:
        if algorithm not in _REJECTED_ALGORITHMS:
            raise Unauthenticated("signing method (alg) is unavailable.")
        raise Unauthenticated(f"unexpected signing method: {algorithm}")
    signing_input = token.rpartition(".")[0].encode()
    return _TokenParts(
        _ALGORITHMS[algorithm], decoded["payload"], signing_input, decoded["signature"]
    )


def _check_header(token: str) -> None:
    """Raises Unauthenticated if the JSON object in the header of *token* has a name twice."""
    segment = token.partition(".")[0]
    header = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    try:
        json.loads(header, object_pairs_hook=_reject_duplicates)
    except _DuplicateName:
        raise Unauthenticated("token is malformed: duplicate name in the header") from None


def _check_signature(parts: _TokenParts, secrets: Sequence[str]) -> None:
    for secret in secrets:
        try:
            key = parts.algorithm.prepare_key(secret)
        except jwt.PyJWTError as error:
            raise Unauthenticated(f"token is malformed: {error}") from None
        if parts.algorithm.verify(parts.signing_input, key, parts.signature):
            return
    raise Unauthenticated("signature is invalid")


def _parse_claims(payload: bytes) -> dict[str, Any]:
    """Returns the claims in *payload*. Raises Unauthenticated if they are invalid JSON.

    Call this before the signature is verified: for a token with both errors, InfluxDB reports the
    invalid JSON.
    """
    try:
        claims = json.loads(
            payload, parse_constant=_reject_constant, object_pairs_hook=_reject_duplicates
        )
    except _DuplicateName:
        raise Unauthenticated("token is malformed: duplicate name in the claims") from None
    except (ValueError, RecursionError):
        raise Unauthenticated("token is malformed: claims are no JSON") from None
    if not isinstance(claims, dict):
        raise Unauthenticated("token is malformed: claims are no JSON object")
    return claims


class _DuplicateName(Exception):
    """A JSON object has a duplicate name.

    Two programs might read different values of that name (RFC 8259, section 4).
    """


def _reject_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _DuplicateName
    return found


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _parse_time(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        number = math.inf if value > 0 else -math.inf
    # A float can overflow or be infinite: such a time is far in the future or in the past.
    return max(-1e300, min(number, 1e300))
