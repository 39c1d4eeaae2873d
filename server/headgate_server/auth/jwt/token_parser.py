"""A strict parser of JSON Web Tokens. It does not verify their signatures.

The content of a parsed token must not be trusted until its signature is verified.
"""

import base64
import binascii
import json
import math
import re
from dataclasses import dataclass, field
from typing import Any, NoReturn

_SEGMENT = re.compile(r"[A-Za-z0-9_-]+")
_SURROGATE = re.compile(rb"(?i)\\ud[89a-f]")


class TokenError(Exception):
    """The token is invalid. The text is for the log, and contains no part of the token."""


@dataclass(frozen=True, slots=True)
class ParsedToken:
    """A parsed token, not yet verified.

    *signed* is the text that the signature must cover: header and claims in base64url, without
    padding. *padded* is the same text as it was received: it may contain the padding, `=`.
    """

    algorithm: str
    kid: str | None
    header: dict[str, Any] = field(repr=False)
    claims: dict[str, Any] = field(repr=False)
    signed: bytes = field(repr=False)
    padded: bytes = field(repr=False)
    signature: bytes = field(repr=False)


def parse(text: str, max_length: int) -> ParsedToken:
    """Parses *text* as a JWS in compact form (RFC 7515) with claims (RFC 7519) as its payload.

    Up to two `=` after a segment are dropped. Each segment must be canonical base64url: unused bits
    at its end are 0. Header and claims must be JSON objects without duplicate names. Raises
    TokenError if *text* breaks one of these rules, or has more than *max_length* characters.
    """
    if len(text) > max_length:
        raise TokenError("longer than max-token-bytes")
    segments = text.split(".")
    if len(segments) != 3:
        raise TokenError("expected three segments")
    bare = [_strip_padding(segment) for segment in segments]
    header = parse_json_object(_decode_segment(bare[0]), "header")
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str):
        raise TokenError("header without alg")
    for name in ("kid", "typ", "cty"):
        if not isinstance(header.get(name, ""), str):
            raise TokenError(f"{name} is not a string")
    if "crit" in header or "b64" in header:
        raise TokenError("header with crit or b64")
    return ParsedToken(
        algorithm,
        kid,
        header,
        parse_json_object(_decode_segment(bare[1]), "claims"),
        f"{bare[0]}.{bare[1]}".encode(),
        f"{segments[0]}.{segments[1]}".encode(),
        _decode_segment(bare[2]),
    )


def _strip_padding(segment: str) -> str:
    bare = segment[:-2] + segment[-2:].replace("=", "")
    if _SEGMENT.fullmatch(bare) is None:
        raise TokenError("invalid base64url")
    return bare


def _decode_segment(segment: str) -> bytes:
    try:
        decoded = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except (binascii.Error, ValueError):
        raise TokenError("invalid base64url") from None
    # The unused bits at the end must be 0. Otherwise one token could be written in several ways.
    if base64.urlsafe_b64encode(decoded).rstrip(b"=").decode() != segment:
        raise TokenError("base64url is not canonical")
    return decoded


def parse_json_object(text: bytes, what: str) -> dict[str, Any]:
    """Returns the JSON object *text*, whose names must differ, with finite numbers.

    Raises TokenError, which names the object as *what*.
    """
    try:
        if _SURROGATE.search(text):
            json.dumps(json.loads(text), ensure_ascii=False).encode()
        found = json.loads(
            text.decode("utf-8"),
            object_pairs_hook=_reject_duplicates,
            parse_constant=_reject_constant,
            parse_float=_parse_finite,
        )
    except (ValueError, RecursionError):
        raise TokenError(f"{what} is not JSON") from None
    if not isinstance(found, dict):
        raise TokenError(f"{what} is not a JSON object")
    return found


def _reject_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice")
    return found


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _parse_finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number
