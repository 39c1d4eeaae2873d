"""JSON Web Tokens signed with the shared secret, as InfluxDB 1.x accepts them. Uses PyJWT.

Error texts are InfluxDB's, where they are the same in all of its versions.
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

from headgate_engine import Recent
from headgate_server.auth.errors import Unauthenticated

_ALGORITHMS = {
    "HS256": HMACAlgorithm(HMACAlgorithm.SHA256),
    "HS384": HMACAlgorithm(HMACAlgorithm.SHA384),
    "HS512": HMACAlgorithm(HMACAlgorithm.SHA512),
}
# Algorithms that exist but are not accepted. Any other name is "unavailable".
_OTHERS = frozenset(
    {"none"} | {f"{family}{size}" for family in ("RS", "ES", "PS") for size in (256, 384, 512)}
)
_LONGEST = 16_384
_MOST_KNOWN = 10_000

_JWS = jwt.PyJWS(algorithms=list(_ALGORITHMS))
# InfluxDB accepts secrets of any length. Warning filters are global for the process, so the filter
# is set at import and not in a request.
warnings.filterwarnings("ignore", category=jwt.InsecureKeyLengthWarning)


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a token. Times are seconds since 1970, None if the claim is not a number."""

    username: object
    expires: float | None
    issued: float | None
    begins: float | None

    def name(self, now: float) -> str:
        """Returns the user name in the token. Raises Unauthenticated if it is invalid at *now*."""
        if not self.expires:
            raise Unauthenticated("token expiration required")
        if now > math.floor(self.expires) + 1:
            raise Unauthenticated("Token is expired")
        if self.begins is not None and now < math.floor(self.begins):
            raise Unauthenticated("Token is not valid yet")
        if self.issued is not None and now < math.floor(self.issued):
            raise Unauthenticated("Token used before issued")
        if not isinstance(self.username, str):
            raise Unauthenticated("username in token must be a string")
        if not self.username:
            raise Unauthenticated("token must contain a username")
        return self.username


def username(token: str, secrets: Sequence[str], clock: Callable[[], float] = time.time) -> str:
    """Returns the user name in *token*, after verifying its signature and its times.

    The claim `exp` is required. `nbf` and `iat` are checked if they are numbers; other claims are
    ignored. Raises Unauthenticated unless one of *secrets* signed it and it is valid now.
    """
    return _verified(token, secrets).name(clock())


class Bearers:
    """Verifies tokens signed with one of *secrets*, with a cache of verified tokens.

    The cache key is a keyed digest of the token. Signature and claims are verified once; the times
    are checked for each request.
    """

    def __init__(self, secrets: Sequence[str], clock: Callable[[], float] = time.time) -> None:
        self.secrets, self._clock = secrets, clock
        self._key = token_bytes(32)
        self._known: Recent[bytes, Claims] = Recent(_MOST_KNOWN)

    def username(self, token: str) -> str:
        """Returns the user name in *token*. Raises Unauthenticated if it is not valid now."""
        text = token.encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(text, key=self._key, digest_size=32).digest()
        claims = self._known.get(digest)
        if claims is not None:
            return claims.name(self._clock())
        claims = _verified(token, self.secrets)
        name = claims.name(self._clock())
        self._known.keep(digest, claims)
        return name


def _verified(token: str, secrets: Sequence[str]) -> Claims:
    """Returns the claims of *token*. Raises Unauthenticated unless one of *secrets* signed it.

    Does not check the times.
    """
    if not secrets:
        raise Unauthenticated("bearer auth disabled")
    try:
        token.encode()
    except UnicodeEncodeError:  # the header had bytes that are invalid UTF-8
        raise Unauthenticated("token is malformed: invalid UTF-8") from None
    if len(token) > _LONGEST:
        raise Unauthenticated("token is malformed: token too long")
    parts = _parts(token)
    claims = _claims(parts.payload)
    _check_signature(parts, secrets)
    return Claims(
        claims.get("username"),
        _number(claims.get("exp")),
        _number(claims.get("iat")),
        _number(claims.get("nbf")),
    )


def mint(name: str, secret: str, expires: float, algorithm: str = "HS256") -> str:
    """Returns a token for the user *name*, signed with *secret*.

    *expires* is in seconds since 1970, and is rounded up.
    """
    claims = json.dumps({"username": name, "exp": math.ceil(expires)}).encode()
    return _JWS.encode(claims, secret, algorithm, {"typ": "JWT"})


def by_shared_secret(token: str) -> bool:
    """Returns whether the header of *token* has an HMAC algorithm and no key id.

    Does not verify the token.
    """
    if not token.isascii() or len(token) > _LONGEST:
        return False
    try:
        header = _JWS.get_unverified_header(token)
    except jwt.InvalidTokenError:
        return False
    return header.get("alg") in _ALGORITHMS and "kid" not in header


def check_secret(secret: str) -> None:
    """Raises ValueError if *secret* cannot sign: an asymmetric key, or invalid UTF-8."""
    try:
        HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(secret)
    except (jwt.PyJWTError, UnicodeEncodeError):
        raise ValueError("an asymmetric key or invalid UTF-8 cannot sign HS256") from None


@dataclass(frozen=True, slots=True)
class _Parts:
    """The parts of a token; *signature* is that of *signed*."""

    algorithm: HMACAlgorithm
    payload: bytes
    signed: bytes
    signature: bytes = field(repr=False)


def _parts(token: str) -> _Parts:
    """Splits *token*, without verifying it. Raises Unauthenticated if it is malformed."""
    if token.count(".") != 2:
        raise Unauthenticated("token contains an invalid number of segments")
    try:
        whole = _JWS.decode_complete(token, options={"verify_signature": False})
    except jwt.InvalidTokenError as error:
        raise Unauthenticated(f"token is malformed: {error}") from None
    _check_header(token)
    algorithm = whole["header"].get("alg")
    if not isinstance(algorithm, str):
        raise Unauthenticated("signing method (alg) is unspecified.")
    if algorithm not in _ALGORITHMS:
        if algorithm not in _OTHERS:
            raise Unauthenticated("signing method (alg) is unavailable.")
        raise Unauthenticated(f"unexpected signing method: {algorithm}")
    signed = token.rpartition(".")[0].encode()
    return _Parts(_ALGORITHMS[algorithm], whole["payload"], signed, whole["signature"])


def _check_header(token: str) -> None:
    """Raises Unauthenticated if the header of *token*, a JSON object, has a duplicate name."""
    segment = token.partition(".")[0]
    header = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    try:
        json.loads(header, object_pairs_hook=_unique)
    except _NameTwice:
        raise Unauthenticated("token is malformed: duplicate name in the header") from None


def _check_signature(parts: _Parts, secrets: Sequence[str]) -> None:
    for secret in secrets:
        try:
            key = parts.algorithm.prepare_key(secret)
        except jwt.PyJWTError as error:
            raise Unauthenticated(f"token is malformed: {error}") from None
        if parts.algorithm.verify(parts.signed, key, parts.signature):
            return
    raise Unauthenticated("signature is invalid")


def _claims(payload: bytes) -> dict[str, Any]:
    """Parses the claims. InfluxDB reports their errors before it verifies the signature."""
    try:
        claims = json.loads(payload, parse_constant=_no_constant, object_pairs_hook=_unique)
    except _NameTwice:
        raise Unauthenticated("token is malformed: duplicate name in the claims") from None
    except (ValueError, RecursionError):
        raise Unauthenticated("token is malformed: claims are no JSON") from None
    if not isinstance(claims, dict):
        raise Unauthenticated("token is malformed: claims are no JSON object")
    return claims


class _NameTwice(Exception):
    """A JSON object has a duplicate name. Parsers differ in which member they use (RFC 8259, 4)."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _NameTwice
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        number = math.inf if value > 0 else -math.inf
    # A float can overflow or be infinite: such a time is far in the future or in the past.
    return max(-1e300, min(number, 1e300))
