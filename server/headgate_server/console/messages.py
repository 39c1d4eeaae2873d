"""The message that the next page shows once after a change, sealed in a cookie."""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.fernet import Fernet, InvalidToken

from headgate_engine import Principal

_COOKIE = "headgate_message"
_SECONDS = 60
_MAX_CHARS = 300
# Of the statements. Browsers keep no cookie of more than 4,096 bytes.
_MAX_BYTES = 1500
_FIELDS = "Path=/console; HttpOnly; SameSite=Lax"


@dataclass(frozen=True, slots=True)
class Message:
    """What a change has done, with the InfluxQL *statements* that it ran; or an error."""

    text: str
    statements: tuple[str, ...] = ()
    is_error: bool = False


def message_cookie(message: Message, principal: Principal) -> str:
    """Returns the field `Set-Cookie` that carries *message* to the next page; "" for no session.

    Only a request of the same session can read it.
    """
    if principal.session is None:
        return ""
    statements: list[str] = []
    left = _MAX_BYTES
    for statement in message.statements:
        left -= len(statement.encode())
        if left < 0:
            statements.append(f"-- and {len(message.statements) - len(statements)} more")
            break
        statements.append(statement)
    content = json.dumps([message.text[:_MAX_CHARS], statements], ensure_ascii=False).encode()
    sealed = _fernet(principal.session.hash).encrypt(content).decode()
    return f"{_COOKIE}={sealed}; Max-Age={_SECONDS}; {_FIELDS}"


def read_message(cookies: Mapping[str, str], principal: Principal) -> tuple[Message | None, str]:
    """Returns the message in *cookies* and the field `Set-Cookie` that deletes it; or None and "".

    The session's token may have been replaced since the message was made.
    """
    sealed = cookies.get(_COOKIE, "")
    if not sealed:
        return None, ""
    expired = f"{_COOKIE}=; Max-Age=0; {_FIELDS}"
    session = principal.session
    for hash in (session.hash, session.previous) if session is not None else ():
        if hash:
            try:
                opened = _fernet(hash).decrypt(sealed.encode("latin-1", "replace"), ttl=_SECONDS)
            except InvalidToken:
                continue
            text, statements = json.loads(opened)
            return Message(text, tuple(statements)), expired
    return None, expired


def _fernet(session_hash: bytes) -> Fernet:
    """Returns the cipher of a session. Its hash never leaves the server."""
    key = hashlib.sha256(b"headgate console message\0" + session_hash).digest()
    return Fernet(base64.urlsafe_b64encode(key))
