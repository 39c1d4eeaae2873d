"""Checks of a verified token's claims: time, issuer, audience (RFC 7519, section 4.1)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from headgate_server.auth.jwt.token_parser import TokenError
from headgate_server.config.jwt import JwtSettings

Check = Callable[[Mapping[str, Any], JwtSettings, float], None]


def check(claims: Mapping[str, Any], settings: JwtSettings, now: float) -> None:
    """Runs all checks on *claims*. Raises TokenError for the first check that fails at *now*.

    *now* is in Unix seconds. A claim that is `null` counts as absent. The token must have all
    audiences in the option `expect-claims`, and at least one of those in the option `audiences`.
    """
    for one in CHECKS.values():
        one(claims, settings, now)


@dataclass(frozen=True, slots=True)
class ClaimChecks:
    """The claims of a token, and the names of the checks in `CHECKS` that the claims must pass."""

    claims: Mapping[str, Any] = field(repr=False)
    settings: JwtSettings
    names: tuple[str, ...]

    def check(self, now: float) -> None:
        """Runs the checks in *names*. Raises TokenError for the first check that fails at *now*."""
        for name in self.names:
            CHECKS[name](self.claims, self.settings, now)

    def is_timely(self, now: float) -> bool:
        """Returns whether `nbf`, `exp`, `iat` and the token's age are valid at *now*."""
        try:
            check_times(self.claims, self.settings, now)
        except TokenError:
            return False
        return True


def check_times(claims: Mapping[str, Any], settings: JwtSettings, now: float) -> None:
    """Raises TokenError if `nbf`, `exp`, `iat` or the token's age is invalid at *now*."""
    for name in ("nbf", "exp", "iat", "age"):
        CHECKS[name](claims, settings, now)


def _check_nbf(claims: Mapping[str, Any], settings: JwtSettings, now: float) -> None:
    begins = claims.get("nbf")
    if begins is not None and now + settings.leeway < begins:
        raise TokenError("nbf is in the future")


def _check_exp(claims: Mapping[str, Any], settings: JwtSettings, now: float) -> None:
    expires = claims.get("exp")
    if expires is None and settings.require_exp:
        raise TokenError("no exp")
    if expires is not None and now - settings.leeway > expires:
        raise TokenError("exp is past")


def _check_iat(claims: Mapping[str, Any], settings: JwtSettings, now: float) -> None:
    issued = claims.get("iat")
    if issued is not None and now + settings.leeway < issued:
        raise TokenError("iat is in the future")


def _check_age(claims: Mapping[str, Any], settings: JwtSettings, now: float) -> None:
    issued = claims.get("iat")
    if settings.max_token_age:
        oldest = now - settings.leeway - settings.max_token_age
        if issued is None or issued < oldest:  # an int may be too large to subtract it from a float
            raise TokenError("older than max-token-age, or without iat")


def _check_iss(claims: Mapping[str, Any], settings: JwtSettings, now: float) -> None:
    if settings.iss and claims.get("iss") != settings.iss:
        raise TokenError("iss is not the expected one")


def _check_sub(claims: Mapping[str, Any], settings: JwtSettings, now: float) -> None:
    if not claims.get("sub"):
        raise TokenError("no sub")


def _check_types(claims: Mapping[str, Any], settings: JwtSettings, now: float) -> None:
    for name in ("iss", "sub"):
        if not isinstance(claims.get(name, ""), str | None):
            raise TokenError(f"{name} is not a string")
    if claims.get("aud") is not None:
        _audiences(claims)
    for name in ("exp", "nbf", "iat"):
        value = claims.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise TokenError(f"{name} is not a number")


def _audiences(claims: Mapping[str, Any]) -> set[str]:
    found = claims.get("aud")
    listed = [found] if isinstance(found, str) else found
    if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
        raise TokenError("aud is neither a string nor a list of strings")
    return set(listed)


def _check_expected(claims: Mapping[str, Any], settings: JwtSettings, now: float) -> None:
    for name, wanted in settings.expect_claims.items():
        if name == "aud":
            needed = {wanted} if isinstance(wanted, str) else set(wanted)
            if claims.get("aud") is None or not needed <= _audiences(claims):
                raise TokenError("aud is not what is expected")
        elif name in ("iss", "sub") and not wanted:
            continue
        elif name not in claims or not json_equal(claims[name], wanted):
            raise TokenError("a claim is not what is expected")


def _check_audience(claims: Mapping[str, Any], settings: JwtSettings, now: float) -> None:
    if settings.audiences:
        if claims.get("aud") is None or not _audiences(claims) & set(settings.audiences):
            raise TokenError("aud is not one of audiences")


def json_equal(one: Any, other: Any) -> bool:
    """Returns whether two JSON values are equal.

    1 equals 1.0. Unlike in Python, 1 does not equal `true`, and 0 does not equal `false`.
    """
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(json_equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(json_equal, one, other))
    return bool(one == other)


# The checks run in this order; `headgate token check` shows these names.
CHECKS: dict[str, Check] = {
    "types": _check_types,
    "iss": _check_iss,
    "sub": _check_sub,
    "expect-claims": _check_expected,
    "audiences": _check_audience,
    "nbf": _check_nbf,
    "exp": _check_exp,
    "iat": _check_iat,
    "age": _check_age,
}
