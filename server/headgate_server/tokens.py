"""JSON Web Tokens signed with the shared secret, as InfluxDB 1.x takes them. Knows PyJWT.

The answers are InfluxDB's, where it has not changed them from version to version.
"""

import json
import math
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import jwt
from jwt.algorithms import HMACAlgorithm

from headgate_server.refusals import Unauthenticated

_ALGORITHMS = ("HS256", "HS384", "HS512")
# Those that exist and are refused; what is not even one of them is "unavailable".
_OTHERS = frozenset(
    {"none"} | {f"{family}{size}" for family in ("RS", "ES", "PS") for size in (256, 384, 512)}
)
_LONGEST = 16_384

_JWS = jwt.PyJWS(algorithms=list(_ALGORITHMS))
# InfluxDB takes secrets of any length. Filters are the process's: none may be set in a request.
warnings.filterwarnings("ignore", category=jwt.InsecureKeyLengthWarning)


def username(token: str, secrets: Sequence[str], clock: Callable[[], float] = time.time) -> str:
    """The user that *token* names. Raises Unauthenticated unless one of *secrets* signed it and it
    is valid now.

    The claim `exp` is required; `nbf` and `iat` count where they are numbers; other claims do not.
    """
    if not secrets:
        raise Unauthenticated("bearer auth disabled")
    try:
        token.encode()
    except UnicodeEncodeError:  # bytes that were no UTF-8
        raise Unauthenticated("token is malformed: it is no text") from None
    if len(token) > _LONGEST:
        raise Unauthenticated("token is malformed: token too long")
    _check_header(token)
    claims = _claims(token)
    _check_signature(token, secrets)
    _check_times(claims, clock())
    name = claims.get("username")
    if not isinstance(name, str):
        raise Unauthenticated("username in token must be a string")
    if not name:
        raise Unauthenticated("token must contain a username")
    return name


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


def _check_header(token: str) -> None:
    if token.count(".") != 2:
        raise Unauthenticated("token contains an invalid number of segments")
    try:
        header = _JWS.get_unverified_header(token)
    except jwt.InvalidTokenError as error:
        raise Unauthenticated(f"token is malformed: {error}") from None
    algorithm = header.get("alg")
    if not isinstance(algorithm, str):
        raise Unauthenticated("signing method (alg) is unspecified.")
    if algorithm not in _ALGORITHMS:
        if algorithm not in _OTHERS:
            raise Unauthenticated("signing method (alg) is unavailable.")
        raise Unauthenticated(f"unexpected signing method: {algorithm}")


def _check_signature(token: str, secrets: Sequence[str]) -> None:
    for secret in secrets:
        try:
            _JWS.decode(token, secret, algorithms=list(_ALGORITHMS))
        except jwt.InvalidSignatureError:
            continue
        except jwt.InvalidTokenError as error:
            raise Unauthenticated(f"token is malformed: {error}") from None
        return
    raise Unauthenticated("signature is invalid")


def _claims(token: str) -> dict[str, Any]:
    """What *token* says, whoever signed it: InfluxDB complains of it before it looks."""
    try:
        payload: bytes = _JWS.decode(token, options={"verify_signature": False})
        claims = json.loads(payload, parse_constant=_no_constant)
    except jwt.InvalidTokenError as error:
        raise Unauthenticated(f"token is malformed: {error}") from None
    except (ValueError, RecursionError):
        raise Unauthenticated("token is malformed: claims are no JSON") from None
    if not isinstance(claims, dict):
        raise Unauthenticated("token is malformed: claims are no JSON object")
    return claims


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _check_times(claims: dict[str, Any], now: float) -> None:
    expires = _number(claims.get("exp"))
    if not expires:
        raise Unauthenticated("token expiration required")
    if now > math.floor(expires) + 1:
        raise Unauthenticated("Token is expired")
    issued, begins = _number(claims.get("iat")), _number(claims.get("nbf"))
    if begins is not None and now < math.floor(begins):
        raise Unauthenticated("Token is not valid yet")
    if issued is not None and now < math.floor(issued):
        raise Unauthenticated("Token used before issued")


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        number = math.inf if value > 0 else -math.inf
    # A number beyond what a float holds: far in the future, or far in the past.
    return max(-1e300, min(number, 1e300))
