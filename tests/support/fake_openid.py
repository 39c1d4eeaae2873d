"""A small OpenID provider in the tests' process, of which a test can change every answer."""

import hashlib
import secrets
import ssl
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import urlencode, urlsplit

from support import made_tokens as made
from support.key_server import Said
from support.oauth_grants import Client, Grant, Grants, OAuthError
from support.provider_server import Asked, ProviderServer, as_json, redirect

LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
_LIFE_SECONDS = 300
_LOGOUT_LIFE_SECONDS = 120
_HASHES = {"256": "sha256", "384": "sha384", "512": "sha512"}


def ann() -> dict[str, Any]:
    """Returns the claims of the account that every provider has at its start."""
    return {
        "email": "ann@example.com",
        "email_verified": True,
        "name": "Ann Archer",
        "preferred_username": "ann",
        "groups": ["staff"],
    }


@dataclass(frozen=True)
class IdTokenChange:
    """Differences of one ID token: other *claims*, none of *without*, more members of the header.

    With *algorithm* `none` it is unsigned. With `HS256` and without *key*, the key is the client
    secret.
    """

    claims: Mapping[str, Any] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    header: Mapping[str, Any] = field(default_factory=dict)
    algorithm: str = ""
    key: Any = field(default=None, repr=False)


class FakeOpenID(ProviderServer):
    """An OpenID provider with one client; a context manager starts and stops it.

    A request to the authorization endpoint signs *login* in at once, or the login of the cookie
    `login`, which `sign_in` sends. *accounts* maps logins to claims; `sub` is the login unless the
    claims have it. *session* is the `sid` of the last sign-in.

    Tests may change *accounts*, *discovery*, *access_token_seconds* (None omits `expires_in`),
    *clock*, and *user_info_only*: claims that ID tokens lack. A refresh token is issued for the
    scope `offline_access`, for `access_type=offline`, or if *always_refreshable*. Access tokens
    are accepted until their grant ends: there is no check of their age.
    """

    authorize_path: ClassVar[str] = "/authorize"
    token_path: ClassVar[str] = "/token"
    user_info_path: ClassVar[str] = "/userinfo"
    keys_path: ClassVar[str] = "/keys"
    end_session_path: ClassVar[str] = "/end_session"
    device_path: ClassVar[str] = "/device"
    discovery_path: ClassVar[str] = "/.well-known/openid-configuration"

    def __init__(
        self,
        client_id: str = "headgate",
        client_secret: str = "s%cr+t:of&ours=1",
        *,
        tls: ssl.SSLContext | None = None,
        host: str = "localhost",
    ) -> None:
        super().__init__(tls=tls, host=host)
        self.client = Client(client_id, client_secret)
        self.issuer = self.url
        self.accounts: dict[str, dict[str, Any]] = {"ann": ann()}
        self.login = "ann"
        self.session = ""
        self.access_token_seconds: int | None = 3600
        self.always_refreshable = False
        self.user_info_only: set[str] = set()
        self.clock = time.time
        self.grants = Grants()
        self.discovery = self._discovery()
        self._keys: list[tuple[str, str, Any]] = []
        self._changes: deque[IdTokenChange] = deque()
        self.rotate_key()

    @property
    def key(self) -> Any:
        """The private key of the next ID token."""
        return self._keys[-1][2]

    @property
    def key_id(self) -> str:
        """The `kid` of the next ID token."""
        return self._keys[-1][0]

    def rotate_key(self, algorithm: str = "RS256", *, keep: bool = True) -> None:
        """Signs from now on with another key for *algorithm*. Without *keep*, the old ones go."""
        curves = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519"}
        kind = {"ES": "EC", "Ed": "OKP"}.get(algorithm[:2], "RSA")
        with self.lock:
            name = f"key-{len(self._keys) + 1 if keep else secrets.token_hex(4)}"
            new = (name, algorithm, made.key(name, kind, curves.get(algorithm, "2048")))
            self._keys = [*(self._keys if keep else []), new]

    def key_set(self) -> dict[str, Any]:
        """Returns the JWK set of the public keys."""
        with self.lock:
            return {
                "keys": [made.jwk(it, kid=id, alg=alg, use="sig") for id, alg, it in self._keys]
            }

    def change_id_token(
        self,
        claims: Mapping[str, Any] | None = None,
        *,
        without: tuple[str, ...] = (),
        header: Mapping[str, Any] | None = None,
        algorithm: str = "",
        key: Any = None,
    ) -> None:
        """Changes the next ID token, as `IdTokenChange` describes; further calls, later ones."""
        change = IdTokenChange(claims or {}, without, header or {}, algorithm, key)
        with self.lock:
            self._changes.append(change)

    def sign_in(self, url: str, login: str = "") -> str:
        """Visits the authorization URL *url* as *login*; returns the URL of the redirect."""
        return self.visited(url, f"login={login or self.login}")

    def logout_token(self, login: str = "", session: str = "", **claims: Any) -> str:
        """Returns a logout token for *login*, *session* (`sid`) or both (Back-Channel Logout 2.4).

        A claim of *claims* with the value None is omitted.
        """
        now = int(self.clock())
        content = {
            "iss": self.issuer,
            "aud": self.client.id,
            "iat": now,
            "exp": now + _LOGOUT_LIFE_SECONDS,
            "jti": secrets.token_hex(8),
            "sub": self.subject(login) if login else None,
            "sid": session or None,
            "events": {LOGOUT_EVENT: {}},
        } | claims
        kept = {name: value for name, value in content.items() if value is not None}
        return self.signed(kept, IdTokenChange(header={"typ": "logout+jwt"}))

    def subject(self, login: str) -> str:
        """Returns the claim `sub` of *login*."""
        return str(self.accounts.get(login, {}).get("sub", login))

    def signed(self, claims: Mapping[str, Any], change: IdTokenChange | None = None) -> str:
        """Returns a token with *claims*, signed with the current key unless *change* differs."""
        change = change or IdTokenChange()
        with self.lock:
            id, algorithm, key = self._keys[-1]
        algorithm = change.algorithm or algorithm
        if algorithm == "none":
            key = None
        elif change.key is not None:
            key = change.key
        elif algorithm.startswith("HS"):
            key = self.client.secret.encode()
        return made.token(key, claims, algorithm, {"kid": id} | dict(change.header))

    def id_token(self, grant: Grant, access_token: str = "") -> str:
        """Returns the next ID token, changed by `change_id_token`."""
        with self.lock:
            change = self._changes.popleft() if self._changes else IdTokenChange()
            algorithm = self._keys[-1][1]
            claims = self._account(grant)
            only = self.user_info_only
        now = int(self.clock())
        content = {name: value for name, value in claims.items() if name not in only} | {
            "iss": self.issuer,
            "aud": self.client.id,
            "iat": now,
            "exp": now + _LIFE_SECONDS,
            "auth_time": now,
            "sid": grant.session,
        }
        if nonce := grant.asked.get("nonce", ""):
            content["nonce"] = nonce
        if access_token:
            content["at_hash"] = at_hash(access_token, change.algorithm or algorithm)
        content |= change.claims
        kept = {name: value for name, value in content.items() if name not in change.without}
        return self.signed(kept, change)

    def respond(self, asked: Asked) -> Said:
        """Returns the response of the provider itself, without the script."""
        try:
            match asked.path:
                case self.discovery_path:
                    return as_json(self.discovery)
                case self.keys_path:
                    return as_json(self.key_set())
                case self.authorize_path:
                    return self._authorize(asked)
                case self.token_path if asked.method == "POST":
                    return as_json(self._tokens(asked))
                case self.device_path if asked.method == "POST":
                    return self._device(asked)
                case self.user_info_path:
                    return self._user_info(asked)
                case self.end_session_path:
                    return self._end_session(asked)
                case _:
                    return as_json({"error": "not_found"}, 404)
        except OAuthError as error:
            return as_json({"error": error.code}, error.status)

    def _authorize(self, asked: Asked) -> Said:
        query = asked.query
        if query.get("client_id") != self.client.id or "redirect_uri" not in query:
            raise OAuthError("invalid_request")
        login = _login_of(asked) or self.login
        known = login in self.accounts
        answer = {"state": query["state"]} if "state" in query else {}
        if self.discovery.get("authorization_response_iss_parameter_supported"):
            answer["iss"] = self.issuer
        if known and query.get("response_type") == "code":
            self.session = secrets.token_hex(8)
            answer["code"] = self.grants.code(login, query, self.session)
        else:
            answer["error"] = "unsupported_response_type" if known else "access_denied"
        return redirect(with_query(query["redirect_uri"], answer))

    def approve_devices(self, login: str = "") -> None:
        """Approves each device that waits, as *login*."""
        self.grants.approve_devices(login or self.login, "openid email profile")

    def _device(self, asked: Asked) -> Said:
        self.client.check(asked)
        answer = {
            "device_code": self.grants.device_code(),
            "user_code": "WDJB-MJHT",
            "verification_uri": f"{self.url}/activate",
            "verification_uri_complete": f"{self.url}/activate?user_code=WDJB-MJHT",
            "expires_in": 600,
            "interval": 1,
        }
        return as_json(answer)

    def _tokens(self, asked: Asked) -> dict[str, Any]:
        self.client.check(asked)
        form = asked.form
        match form.get("grant_type"):
            case "authorization_code":
                grant = self.grants.redeemed(form)
            case "refresh_token":
                grant = self.grants.rotated(form.get("refresh_token", ""))
            case "urn:ietf:params:oauth:grant-type:device_code":
                grant = self.grants.of_device(form.get("device_code", ""))
            case _:
                raise OAuthError("unsupported_grant_type")
        self._account(grant)
        return self.token_answer(grant)

    def token_answer(self, grant: Grant) -> dict[str, Any]:
        """Returns the JSON object of the token endpoint: new tokens of *grant*."""
        token = self.grants.access_token(grant)
        scope = grant.asked.get("scope", "")
        answer: dict[str, Any] = {"access_token": token, "token_type": "Bearer", "scope": scope}
        if self.access_token_seconds is not None:
            answer["expires_in"] = self.access_token_seconds
        if "openid" in scope.split():
            answer["id_token"] = self.id_token(grant, token)
        offline = grant.asked.get("access_type") == "offline"
        if offline or self.always_refreshable or "offline_access" in scope.split():
            answer["refresh_token"] = self.grants.refresh_token(grant)
        return answer

    def _user_info(self, asked: Asked) -> Said:
        grant = self.grants.of_access_token(asked.bearer)
        if grant is None or grant.login not in self.accounts:
            return as_json({"error": "invalid_token"}, 401, WWW_Authenticate="Bearer")
        return as_json(self._account(grant))

    def _end_session(self, asked: Asked) -> Said:
        query = asked.query | asked.form
        target = query.get("post_logout_redirect_uri", "")
        if not target:
            return Said(200, b"signed out", {"Content-Type": "text/plain"})
        return redirect(with_query(target, {"state": query["state"]} if "state" in query else {}))

    def _account(self, grant: Grant) -> dict[str, Any]:
        """Returns the claims of the user of *grant*. Raises: OAuthError if they are removed."""
        with self.lock:
            claims = self.accounts.get(grant.login)
        if claims is None:
            raise OAuthError("invalid_grant")
        return {"sub": grant.login} | claims

    def _discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": self.url + self.authorize_path,
            "token_endpoint": self.url + self.token_path,
            "userinfo_endpoint": self.url + self.user_info_path,
            "jwks_uri": self.url + self.keys_path,
            "end_session_endpoint": self.url + self.end_session_path,
            "device_authorization_endpoint": self.url + self.device_path,
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ["openid", "email", "profile", "groups", "offline_access"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": [
                *("client_secret_basic", "client_secret_post", "none"),
            ],
            "authorization_response_iss_parameter_supported": True,
            "backchannel_logout_supported": True,
            "backchannel_logout_session_supported": True,
        }


def at_hash(access_token: str, algorithm: str) -> str:
    """Returns the claim `at_hash` for *access_token* (OpenID Connect Core, 3.1.3.6)."""
    digest = hashlib.new(_HASHES.get(algorithm[-3:], "sha256"), access_token.encode()).digest()
    return made.coded(digest[: len(digest) // 2])


def with_query(url: str, parameters: Mapping[str, str]) -> str:
    """Returns *url* with *parameters* added to its query."""
    query = urlencode(parameters)
    parts = urlsplit(url)
    return parts._replace(query="&".join(filter(None, (parts.query, query)))).geturl()


def _login_of(asked: Asked) -> str:
    """Returns the value of the cookie `login`, or ""."""
    pairs = (pair.strip().partition("=") for pair in asked.headers.get("cookie", "").split(";"))
    return next((value for name, _, value in pairs if name == "login"), "")
