"""JSON Web Tokens signed with the shared secret, as InfluxDB 1.x takes them. Knows PyJWT.

The answers are InfluxDB's, where it has not changed them from version to version.
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
# Those that exist and are refused; what is not even one of them is "unavailable".
_OTHERS = frozenset(
    {"none"} | {f"{family}{size}" for family in ("RS", "ES", "PS") for size in (256, 384, 512)}
)
_LONGEST = 16_384
_MOST_KNOWN = 10_000

_JWS = jwt.PyJWS(algorithms=list(_ALGORITHMS))
# InfluxDB takes secrets of any length. Filters are the process's: none may be set in a request.
warnings.filterwarnings("ignore", category=jwt.InsecureKeyLengthWarning)


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says; times are seconds since 1970, and None for what is no number."""

    username: object
    expires: float | None
    issued: float | None
    begins: float | None

    def name(self, now: float) -> str:
        """The user that it names, if it is valid at *now*. Raises Unauthenticated."""
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
    """The user that *token* names. Raises Unauthenticated unless one of *secrets* signed it and it
    is valid now.

    The claim `exp` is required; `nbf` and `iat` count where they are numbers; other claims do not.
    """
    return _verified(token, secrets).name(clock())


class Bearers:
    """The same of tokens that come again and again: what was signed by one of *secrets* is known by
    a keyed digest of it, and is looked into only once. Whether it is valid now is asked each time.
    """

    def __init__(self, secrets: Sequence[str], clock: Callable[[], float] = time.time) -> None:
        self.secrets, self._clock = secrets, clock
        self._key = token_bytes(32)
        self._known: Recent[bytes, Claims] = Recent(_MOST_KNOWN)

    def username(self, token: str) -> str:
        """The user that *token* names. Raises Unauthenticated."""
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
    """What *token* says, whom one of *secrets* signed. Raises Unauthenticated."""
    if not secrets:
        raise Unauthenticated("bearer auth disabled")
    try:
        token.encode()
    except UnicodeEncodeError:  # bytes that were no UTF-8
        raise Unauthenticated("token is malformed: it is no text") from None
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
    """A token for the user *name* until *expires* (seconds since 1970), signed with *secret*."""
    claims = json.dumps({"username": name, "exp": math.ceil(expires)}).encode()
    return _JWS.encode(claims, secret, algorithm, {"typ": "JWT"})


def by_shared_secret(token: str) -> bool:
    """Whether *token* says that a secret signed it, and no key with a name."""
    if not token.isascii() or len(token) > _LONGEST:
        return False
    try:
        header = _JWS.get_unverified_header(token)
    except jwt.InvalidTokenError:
        return False
    return header.get("alg") in _ALGORITHMS and "kid" not in header


def check_secret(secret: str) -> None:
    """Raises ValueError for a text that cannot sign: a public key, or no text at all."""
    try:
        HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(secret)
    except (jwt.PyJWTError, UnicodeEncodeError):
        raise ValueError("a key pair's half, or no UTF-8: it cannot sign HS256") from None


@dataclass(frozen=True, slots=True)
class _Parts:
    """A token taken apart; *signed* is what the signature is of."""

    algorithm: HMACAlgorithm
    payload: bytes
    signed: bytes
    signature: bytes = field(repr=False)


def _parts(token: str) -> _Parts:
    """Read once, and verified by nobody yet."""
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
    """Raises Unauthenticated if the header of *token*, a JSON object, has a name twice."""
    segment = token.partition(".")[0]
    header = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    try:
        json.loads(header, object_pairs_hook=_unique)
    except _NameTwice:
        raise Unauthenticated("token is malformed: a name twice in the header") from None


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
    """What a token says, whoever signed it: InfluxDB complains of it before it looks."""
    try:
        claims = json.loads(payload, parse_constant=_no_constant, object_pairs_hook=_unique)
    except _NameTwice:
        raise Unauthenticated("token is malformed: a name twice in the claims") from None
    except (ValueError, RecursionError):
        raise Unauthenticated("token is malformed: claims are no JSON") from None
    if not isinstance(claims, dict):
        raise Unauthenticated("token is malformed: claims are no JSON object")
    return claims


class _NameTwice(Exception):
    """A JSON object has two members of one name: two readers may take different ones."""


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
    # A number beyond what a float holds: far in the future, or far in the past.
    return max(-1e300, min(number, 1e300))
