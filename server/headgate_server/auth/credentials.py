"""Reads the credentials in a request, without verifying them: a name and password, or a token.

`headgate_server.auth.authenticator` verifies the credentials.
"""

import binascii
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from headgate_engine import (
    ImportedSecret,
    ProviderSession,
    ShownSession,
    User,
    imported_secret,
    is_key_text,
    key_fault,
    key_hash,
    session_hash,
)
from headgate_server.auth.errors import Unauthenticated
from headgate_server.auth.proxy_user import ProxyUser
from headgate_server.http.go_text import decode_utf8
from headgate_server.http.urlencoded import Pairs

# The key of a login by `u` and `p` in a connection's memo, and the longest one that is kept.
_URL_PASSWORD, _MAX_KEPT_CHARS = "url password", 256


@dataclass(slots=True)
class Password:
    """A user's name and password.

    *verified* is the user object for which the password was verified, or None. It no longer applies
    once the user has changed: a changed user is a new object.
    """

    method: ClassVar = "password"
    name: str
    password: str = field(repr=False)
    verified: User | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class SharedSecretToken:
    """A JSON Web Token that is signed with the shared secret, as InfluxDB 1.x accepts it."""

    method: ClassVar = "shared-secret"
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class IssuerToken:
    """A JSON Web Token of an issuer that `[auth.jwt]` configures, signed with the issuer's key."""

    method: ClassVar = "jwt"
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TenantToken:
    """A JSON Web Token that names a tenant instead of a user.

    A tenant is a database of an upstream store such as Mimir.
    """

    method: ClassVar = "tenant"
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyText:
    """An API key, by its *hash*; None if it is malformed. *username* is the name beside it.

    *imported* has the parts of a text in the form of imported keys; None for any other form.
    """

    method: ClassVar = "key"
    hash: bytes | None = field(repr=False)
    username: str = ""
    imported: ImportedSecret | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SessionCookie:
    """The tokens in the cookies with the name of the sessions' cookie, by their *hashes*.

    None stands for a text that is no token.
    """

    method: ClassVar = "session"
    hashes: tuple[bytes | None, ...] = field(repr=False)


Credentials = Password | SharedSecretToken | IssuerToken | KeyText | SessionCookie | ProxyUser


class TokenLocation(Protocol):
    """The place in a request where tokens of the issuers in `[auth.jwt]` are."""

    @property
    def header_name(self) -> str:
        """The name of the header with the token, or "" if no header may have a token."""
        ...

    @property
    def url_login(self) -> bool:
        """Whether a token in the URL's parameter `auth_token` is accepted."""
        ...


@dataclass(slots=True)
class RequestCredentials:
    """The parts of a request that can hold credentials.

    *url* has the parameters in the request's URL. *headers* returns all values of the header with a
    given name. *memo* caches values that depend on the headers alone. *cookie_name* is the name of
    the sessions' cookie; "" accepts no session. *session* is the session after a login by cookie.

    *proxy_user* is the user that a proxy in front names. *accepts_guest* is whether a request
    without a login may act as the user of `[auth.anonymous]`. *is_sign_in* is whether a person
    begins a session: only then a directory may be asked, unless the settings say more. *origin* is
    what such a session keeps of the directory. *failed_user* is the existing user of a login that
    failed.
    """

    url: Pairs = field(repr=False)
    headers: Callable[[str], Sequence[str]] = field(repr=False)
    memo: dict[Hashable, Any] = field(default_factory=dict, repr=False)
    cookie_name: str = ""
    session: ShownSession | None = None
    proxy_user: ProxyUser | None = None
    accepts_guest: bool = False
    is_sign_in: bool = False
    origin: ProviderSession | None = None
    failed_user: str = ""

    def is_empty(self) -> bool:
        """Returns whether no place has anything of a login, not even an invalid one."""
        return not (
            self.authorization
            or self.proxy_user is not None
            or self.url.keys() & {"u", "p", "auth_token"}
        )

    @property
    def authorization(self) -> str:
        """The value of the first header `Authorization`, as in InfluxDB, or "" if there is none."""
        found = self.headers("authorization")
        return found[0] if found else ""


def read_credentials(
    request: RequestCredentials, location: TokenLocation | None = None
) -> Credentials:
    """Returns the credentials in *request*, from the first of these places that has credentials.

    1. The URL's parameters `u` and `p`.
    2. The header `Authorization`.
    3. The place *location* for tokens of the issuers in `[auth.jwt]` (None: no such place). If
       this place is the header `Authorization`, its token is an IssuerToken.
    4. The header in which a proxy in front names the user.
    5. The cookie with the name `cookie_name` of *request*.

    A text that begins as an API key is a key, wherever a password or a token may be.

    Raises Unauthenticated if no place has credentials, or if the credentials are malformed.
    """
    url = request.url
    if url and (name := url.get("u")) and (password := url.get("p")):
        return _credentials_in_url(request, name, password)
    request.memo.pop(_URL_PASSWORD, None)
    if request.proxy_user is not None and not request.authorization:
        if not _has_token(request, location):
            return request.proxy_user
    if "auth_token" in url:
        return _read_headers(request, location)
    known, known_location, cookie_name = request.memo.get("credentials", (None, None, ""))
    if known is None or known_location is not location or cookie_name != request.cookie_name:
        known = _read_headers(request, location)
        request.memo["credentials"] = known, location, request.cookie_name
    found: Credentials = known
    return found


def _credentials_in_url(
    request: RequestCredentials, name: str, password: str
) -> Password | KeyText:
    """Returns the credentials *name* and *password*: for equal requests the same object.

    It knows whether the password was verified. Long texts are not kept.
    """
    known: Password | None = request.memo.get(_URL_PASSWORD)
    if known is not None and known.name == name and known.password == password:
        return known
    found = _password_or_key(name, password)
    if isinstance(found, Password) and len(name) + len(password) <= _MAX_KEPT_CHARS:
        request.memo[_URL_PASSWORD] = found
    return found


def _read_headers(request: RequestCredentials, location: TokenLocation | None) -> Credentials:
    """Returns the credentials of a request without `u` or `p`: see `read_credentials`."""
    authorization = request.authorization
    if not authorization and request.cookie_name and not _has_token(request, location):
        if tokens := session_tokens(request):
            return SessionCookie(tuple(map(session_hash, tokens)))
    if location is None:
        return _parse_authorization(authorization)
    if is_key_text(authorization.strip(" \t").partition(" ")[2]):
        return _parse_authorization(authorization)
    own = location.header_name.lower() == "authorization"
    if authorization and not (own and _scheme(authorization) not in ("basic", "token")):
        return _parse_authorization(authorization)
    if text := _token_at(request, location):
        return IssuerToken(text)
    return _parse_authorization(authorization)


def _scheme(authorization: str) -> str:
    return authorization.strip(" \t").partition(" ")[0].lower()


def _has_token(request: RequestCredentials, location: TokenLocation | None) -> bool:
    return location is not None and bool(_token_at(request, location))


def session_tokens(request: RequestCredentials) -> tuple[str, ...]:
    """Returns the values of the cookies with the sessions' name, as they came (RFC 6265)."""
    pairs = (pair.partition("=") for line in request.headers("cookie") for pair in line.split(";"))
    return tuple(
        value.strip(' \t"') for name, _, value in pairs if name.strip(" \t") == request.cookie_name
    )


def _token_at(request: RequestCredentials, location: TokenLocation) -> str:
    """Returns the token at *location*, or "" without a token.

    Raises Unauthenticated if there are several headers with a token.
    """
    texts = [text for text in request.headers(location.header_name) if text.strip(" \t")]
    if len(texts) > 1:
        raise Unauthenticated("more than one token")
    if texts:
        text = texts[0].strip(" \t")
    else:
        text = request.url.get("auth_token", "") if location.url_login else ""
    return text[7:].lstrip(" ") if text[:7].lower() == "bearer " else text


def _parse_authorization(authorization: str) -> Credentials:
    scheme, _, rest = authorization.strip(" \t").partition(" ")
    if not rest or " " in rest:
        raise _invalid_credentials()
    if scheme.lower() == "basic":
        name, password = _parse_basic(rest)
    elif scheme.lower() in ("bearer", "token") and is_key_text(rest):
        return _key(rest, "")
    elif scheme == "Bearer":
        return SharedSecretToken(rest)
    elif scheme == "Token" and ":" in rest:
        name, _, password = decode_utf8(rest.encode("latin-1")).partition(":")
    else:
        raise _invalid_credentials()
    if not name:
        raise Unauthenticated("username required")
    return _password_or_key(name, password)


def _password_or_key(name: str, password: str) -> Password | KeyText:
    return _key(password, name) if is_key_text(password) else Password(name, password)


def _key(text: str, username: str) -> KeyText:
    hash = None if key_fault(text) else key_hash(text)
    return KeyText(hash, username, imported_secret(text))


def _invalid_credentials() -> Unauthenticated:
    return Unauthenticated("unable to parse authentication credentials")


def _parse_basic(encoded: str) -> tuple[str, str]:
    try:
        decoded = binascii.a2b_base64(encoded.encode("latin-1"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError):
        raise _invalid_credentials() from None
    name, colon, password = decode_utf8(decoded).partition(":")
    if not colon:
        raise _invalid_credentials()
    return name, password
