"""The rules of OAuth 2 for the fake providers: codes, PKCE, rotating refresh tokens, clients."""

import base64
import binascii
import hashlib
import hmac
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_plus

from support.made_tokens import coded
from support.provider_server import Asked


class OAuthError(Exception):
    """A refusal: the error code of RFC 6749, 5.2, and the status of the response."""

    def __init__(self, code: str, status: int = 400) -> None:
        self.code, self.status = code, status
        super().__init__(code)


@dataclass
class Grant:
    """What the user *login* allowed: *asked* has the parameters of the authorization request."""

    login: str
    asked: Mapping[str, str]
    session: str
    alive: bool = True
    code_used: bool = False


@dataclass(frozen=True)
class Client:
    """The registered client. It is public, without a secret, if *secret* is ""."""

    id: str
    secret: str = field(repr=False)

    def check(self, asked: Asked) -> str:
        """Returns the method of client authentication that the request used.

        Raises: OAuthError `invalid_client` with status 401 if it is another client.
        Id and secret in the header are form-encoded (RFC 6749, 2.3.1).
        """
        form, scheme = asked.form, asked.authorization.partition(" ")[0].lower()
        if scheme == "basic":
            method, (name, secret) = "client_secret_basic", _basic(asked.authorization)
        else:
            method = "client_secret_post" if "client_secret" in form else "none"
            name, secret = form.get("client_id", ""), form.get("client_secret", "")
        right = hmac.compare_digest(secret.encode(), self.secret.encode())
        if name != self.id or not right:
            raise OAuthError("invalid_client", 401)
        return method


def _basic(header: str) -> tuple[str, str]:
    try:
        text = base64.b64decode(header.partition(" ")[2], validate=True).decode()
    except (binascii.Error, ValueError):
        raise OAuthError("invalid_client", 401) from None
    name, _, secret = text.partition(":")
    return unquote_plus(name), unquote_plus(secret)


class Grants:
    """All grants of a provider, by code, access token and refresh token. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._codes: dict[str, Grant] = {}
        self._access: dict[str, Grant] = {}
        self._refresh: dict[str, Grant] = {}
        self._spent: dict[str, Grant] = {}
        self._devices: dict[str, Grant | None] = {}  # by device code; None: not yet approved

    def code(self, login: str, asked: Mapping[str, str], session: str) -> str:
        """Returns a new code for *login*."""
        code = secrets.token_urlsafe(24)
        with self._lock:
            self._codes[code] = Grant(login, asked, session)
        return code

    def redeemed(self, form: Mapping[str, str]) -> Grant:
        """Returns the grant of the code in *form*.

        Raises: OAuthError `invalid_grant` for an unknown code, a code used before, another
        redirect URI or a wrong code verifier. A second use ends the grant (RFC 6749, 4.1.2).
        """
        with self._lock:
            grant = self._codes.get(form.get("code", ""))
            if grant is None:
                raise OAuthError("invalid_grant")
            if grant.code_used:
                grant.alive = False
            grant.code_used = True
            same = form.get("redirect_uri", "") == grant.asked.get("redirect_uri", "")
            if not (grant.alive and same and _verified(grant, form.get("code_verifier", ""))):
                raise OAuthError("invalid_grant")
            return grant

    def rotated(self, token: str) -> Grant:
        """Returns the grant of the refresh token *token*, which is used up.

        Raises: OAuthError `invalid_grant`. A second use ends the grant (RFC 9700, 4.14.2).
        """
        with self._lock:
            if (spent := self._spent.get(token)) is not None:
                spent.alive = False
            grant = self._refresh.pop(token, None)
            if grant is None or not grant.alive:
                raise OAuthError("invalid_grant")
            self._spent[token] = grant
            return grant

    def device_code(self) -> str:
        """Returns a new device code (RFC 8628)."""
        code = secrets.token_urlsafe(24)
        with self._lock:
            self._devices[code] = None
        return code

    def approve_devices(self, login: str, scope: str) -> None:
        """Approves as *login* each device that waits."""
        with self._lock:
            for code, grant in self._devices.items():
                self._devices[code] = grant or Grant(login, {"scope": scope}, secrets.token_hex(8))

    def of_device(self, code: str) -> Grant:
        """Returns the grant of the device code *code*, which is used up.

        Raises: OAuthError `authorization_pending` until a user approves the device.
        """
        with self._lock:
            if code not in self._devices:
                raise OAuthError("invalid_grant")
            if self._devices[code] is None:
                raise OAuthError("authorization_pending")
            grant = self._devices.pop(code)
        assert grant is not None
        return grant

    def access_token(self, grant: Grant, prefix: str = "") -> str:
        token = prefix + secrets.token_urlsafe(24)
        with self._lock:
            self._access[token] = grant
        return token

    def refresh_token(self, grant: Grant) -> str:
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._refresh[token] = grant
        return token

    def of_access_token(self, token: str) -> Grant | None:
        """Returns the grant of the access token *token*, or None if it is not good (any more)."""
        with self._lock:
            grant = self._access.get(token)
            return grant if grant is not None and grant.alive else None


def _verified(grant: Grant, verifier: str) -> bool:
    """Returns whether *verifier* fits the challenge, or there was no challenge (RFC 7636, 4.6)."""
    challenge = grant.asked.get("code_challenge", "")
    digest = coded(hashlib.sha256(verifier.encode()).digest())
    return hmac.compare_digest(challenge, digest) if challenge else not verifier
