"""The sign-in of a terminal by a browser: where it waits, and the sealed values on the way to it.

The flow is that of OAuth 2.0 for Native Apps (RFC 8252): a listener on the loopback address gets a
code, which only the program with the verifier can use (RFC 7636).
"""

import hashlib
import hmac
import json
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from headgate_engine import Principal, ProviderSession, SessionTokens, User

if TYPE_CHECKING:
    from headgate_server.auth.sealing import Sealer

CODE_SECONDS, GRANT_SECONDS = 60, 600
_PORTS = range(1024, 65_536)
_PORT = re.compile("[0-9]{4,5}")
_CHALLENGE = re.compile("[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile("[A-Za-z0-9._~-]{43,128}")
_MAX_CODE_CHARS = 1 << 16
_ID_BYTES = 16

Kind = Literal["terminal grant", "terminal code"]


@dataclass(frozen=True, slots=True)
class Terminal:
    """A program that listens at *port* of the browser's machine, with the *challenge* of PKCE."""

    port: int
    challenge: str

    @property
    def query(self) -> str:
        """The parameters that name this terminal in the URL of a sign-in page."""
        return f"terminal={self.port}&challenge={self.challenge}"

    def url(self, code: str) -> str:
        """Returns the URL that brings *code* to the terminal: always at the loopback address."""
        return f"http://127.0.0.1:{self.port}/?code={quote(code, safe='')}&state={self.challenge}"

    def matches(self, verifier: str) -> bool:
        """Returns whether *verifier* has the challenge (RFC 7636, section 4.6)."""
        if not _VERIFIER.fullmatch(verifier):
            return False
        digest = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
        return hmac.compare_digest(digest, self.challenge.encode())


def terminal_of(parameters: Mapping[str, str]) -> Terminal | None:
    """Returns the terminal in the *parameters* of a sign-in page; None without a valid one."""
    port, challenge = parameters.get("terminal", ""), parameters.get("challenge", "")
    if not _PORT.fullmatch(port) or int(port) not in _PORTS:
        return None
    return Terminal(int(port), challenge) if _CHALLENGE.fullmatch(challenge) else None


@dataclass(frozen=True, slots=True)
class TerminalGrant:
    """A person that has signed in by *method* for *terminal*: the user *user_id*.

    *id* makes it valid once. *credential* is that of `credential_of` at the sign-in. The session
    ends at *ends_at*, in Unix seconds; 0: no such time. *origin* has the time of the sign-in.
    """

    terminal: Terminal
    user_id: str
    credential: str = field(repr=False)
    method: str
    ends_at: int
    origin: ProviderSession
    id: str = field(default_factory=lambda: secrets.token_urlsafe(_ID_BYTES))

    @property
    def digest(self) -> bytes:
        """The hash by which the store knows that this grant was used."""
        return hashlib.sha256(f"terminal\0{self.id}".encode()).digest()

    def sealed(self, kind: Kind, sealer: "Sealer") -> str:
        """Returns this grant, sealed for one use. Raises OSError as `Sealer.seal` does."""
        origin = self.origin
        tokens = origin.tokens or SessionTokens()
        content = {
            "kind": kind,
            "port": self.terminal.port,
            "challenge": self.terminal.challenge,
            "user": self.user_id,
            "credential": self.credential,
            "method": self.method,
            "ends_at": self.ends_at,
            "provider": origin.provider,
            "sid": origin.sid,
            "access_expires_at": origin.access_expires_at,
            "auth_at": origin.auth_at,
            # They are sealed already, as the store has them.
            "refresh_token": tokens.refresh_token.decode(),
            "id_token": tokens.id_token.decode(),
            "id": self.id,
        }
        return sealer.seal(json.dumps(content).encode()).decode()


def opened_grant(sealed: str, kind: Kind, sealer: "Sealer") -> TerminalGrant | None:
    """Returns the grant in *sealed*; None if it is not ours, of another kind or too old.

    Raises OSError as `Sealer.open` does.
    """
    if len(sealed) > _MAX_CODE_CHARS:
        return None
    seconds = CODE_SECONDS if kind == "terminal code" else GRANT_SECONDS
    opened = sealer.open(sealed.encode("latin-1", "replace"), seconds)
    content: Any = json.loads(opened) if opened is not None else None
    if not isinstance(content, dict) or content.get("kind") != kind:
        return None
    tokens = SessionTokens(content["refresh_token"].encode(), content["id_token"].encode())
    return TerminalGrant(
        Terminal(content["port"], content["challenge"]),
        content["user"],
        content["credential"],
        content["method"],
        content["ends_at"],
        ProviderSession(
            content["provider"],
            content["sid"],
            content["access_expires_at"],
            tokens if tokens != SessionTokens() else None,
            content["auth_at"],
        ),
        content["id"],
    )


def grant_of(terminal: Terminal, principal: Principal, origin: ProviderSession) -> TerminalGrant:
    """Returns the grant of *principal*, a person with a stored user, for *terminal*."""
    user = principal.user
    assert user is not None
    return TerminalGrant(
        terminal, user.id, credential_of(user), principal.method, principal.expires_at, origin
    )


def credential_of(user: User) -> str:
    """Returns a text that changes when the password of *user* changes, and does not reveal it."""
    return hashlib.sha256(f"credential\0{user.id}\0{user.hash}".encode()).hexdigest()[:32]
