"""The credentials in a request. They are only read here: `login` verifies them."""

import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from headgate_server.auth.errors import Unauthenticated
from headgate_server.http.go_text import lossless
from headgate_server.http.urlencoded import Pairs


@dataclass(slots=True)
class NamePassword:
    """A user's name and password."""

    method: ClassVar = "password"
    name: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Token:
    """A token for the shared secret."""

    method: ClassVar = "shared-secret"
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Assertion:
    """A token of another issuer."""

    method: ClassVar = "jwt"
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TenantToken:
    """A token that names a tenant instead of a user."""

    method: ClassVar = "tenant"
    text: str = field(repr=False)


Credentials = NamePassword | Token | Assertion


class Carrier(Protocol):
    """The place in a request where tokens of other issuers are."""

    @property
    def header_name(self) -> str:
        """The header's name, or "" for none."""
        ...

    @property
    def url_login(self) -> bool:
        """Whether the URL's `auth_token` is accepted."""
        ...


@dataclass(slots=True)
class Shown:
    """The parts of a request that can hold credentials: URL parameters, and headers by name."""

    url: Pairs = field(repr=False)
    headers: Callable[[str], Sequence[str]] = field(repr=False)

    @property
    def authorization(self) -> str:
        """The header `Authorization`, or "". Of several the first counts, as in InfluxDB."""
        found = self.headers("authorization")
        return found[0] if found else ""


def credentials(shown: Shown, carrier: Carrier | None = None) -> Credentials:
    """Returns the credentials of a request. The first of these places that has any decides.

    They are the URL's `u` and `p`, the header `Authorization`, and the place that *carrier* names.
    Raises Unauthenticated if there are no credentials, or unreadable ones.
    """
    if shown.url.get("u") and shown.url.get("p"):
        return NamePassword(shown.url["u"], shown.url["p"])
    authorization = shown.authorization
    if carrier is None:
        return _authorized(authorization)
    own = carrier.header_name.lower() == "authorization"
    if authorization and not (own and _scheme(authorization) not in ("basic", "token")):
        return _authorized(authorization)
    if text := _carried(shown, carrier):
        return Assertion(text)
    return _authorized(authorization)


def _scheme(authorization: str) -> str:
    return authorization.strip(" \t").partition(" ")[0].lower()


def _carried(shown: Shown, carrier: Carrier) -> str:
    """Returns the token in the place that *carrier* names, or "". Raises Unauthenticated if
    several.
    """
    texts = [text for text in shown.headers(carrier.header_name) if text.strip(" \t")]
    if len(texts) > 1:
        raise Unauthenticated("more than one token")
    if texts:
        text = texts[0].strip(" \t")
    else:
        text = shown.url.get("auth_token", "") if carrier.url_login else ""
    return text[7:].lstrip(" ") if text[:7].lower() == "bearer " else text


def _authorized(authorization: str) -> Credentials:
    scheme, _, rest = authorization.strip(" \t").partition(" ")
    if not rest or " " in rest:
        raise _unreadable()
    if scheme.lower() == "basic":
        name, password = _basic(rest)
    elif scheme == "Bearer":
        return Token(rest)
    elif scheme == "Token" and ":" in rest:
        name, _, password = lossless(rest.encode("latin-1")).partition(":")
    else:
        raise _unreadable()
    if not name:
        raise Unauthenticated("username required")
    return NamePassword(name, password)


def _unreadable() -> Unauthenticated:
    return Unauthenticated("unable to parse authentication credentials")


def _basic(encoded: str) -> tuple[str, str]:
    try:
        decoded = binascii.a2b_base64(encoded.encode("latin-1"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError):
        raise _unreadable() from None
    name, colon, password = lossless(decoded).partition(":")
    if not colon:
        raise _unreadable()
    return name, password
