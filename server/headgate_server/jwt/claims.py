"""Whether what a verified token says holds: now, here, and for us (RFC 7519 section 4.1)."""

from collections.abc import Mapping
from typing import Any

from headgate_server.jwt.settings import JwtSettings
from headgate_server.jwt.token import TokenError


def check(claims: Mapping[str, Any], settings: JwtSettings, now: float) -> None:
    """Raises TokenError with the first thing that does not hold at the time *now*.

    `null` counts as absent. An audience that is expected has to be there whole, of `audiences` one.
    """
    _check_types(claims)
    if not claims.get("sub"):
        raise TokenError("no sub")
    _check_expected(claims, settings)
    check_times(claims, settings, now)


def check_times(claims: Mapping[str, Any], settings: JwtSettings, now: float) -> None:
    """The part of it that time changes."""
    leeway = settings.leeway
    expires, begins, issued = (claims.get(name) for name in ("exp", "nbf", "iat"))
    if begins is not None and now + leeway < begins:
        raise TokenError("nbf is in the future")
    if expires is None and settings.require_exp:
        raise TokenError("no exp")
    if expires is not None and now - leeway > expires:
        raise TokenError("exp is past")
    if issued is not None and now + leeway < issued:
        raise TokenError("iat is in the future")
    if settings.max_token_age:
        if issued is None or now - leeway - issued > settings.max_token_age:
            raise TokenError("older than max-token-age, or without iat")


def _check_types(claims: Mapping[str, Any]) -> None:
    for name in ("iss", "sub"):
        if not isinstance(claims.get(name, ""), str | None):
            raise TokenError(f"{name} is no text")
    if claims.get("aud") is not None:
        _audiences(claims)
    for name in ("exp", "nbf", "iat"):
        value = claims.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise TokenError(f"{name} is no number")


def _audiences(claims: Mapping[str, Any]) -> set[str]:
    found = claims.get("aud")
    listed = [found] if isinstance(found, str) else found
    if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
        raise TokenError("aud is neither a text nor a list of texts")
    return set(listed)


def _check_expected(claims: Mapping[str, Any], settings: JwtSettings) -> None:
    for name, wanted in settings.expect_claims.items():
        if name == "aud":
            needed = {wanted} if isinstance(wanted, str) else set(wanted)
            if claims.get("aud") is None or not needed <= _audiences(claims):
                raise TokenError("aud is not what is expected")
        elif name in ("iss", "sub") and not wanted:
            continue
        elif name not in claims or not same(claims[name], wanted):
            raise TokenError("a claim is not what is expected")
    if settings.audiences:
        if claims.get("aud") is None or not _audiences(claims) & set(settings.audiences):
            raise TokenError("aud is not one of audiences")


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same: 1 is 1.0, and not true."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
