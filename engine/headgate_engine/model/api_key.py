"""API keys: the form of a key's text, and the stored key with its scope."""

import hashlib
import secrets
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from headgate_engine.model.imported_key import IMPORTED_PREFIX, imported_secret
from headgate_engine.model.user import User
from headgate_grammar import Privilege

KEY_PREFIX = "hgk_"
# 43 characters of 62 have 256 random bits.
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHARACTERS = frozenset(_ALPHABET)
_RANDOM_CHARS = 43
_MAX_CHARS = 128
_SHOWN_CHARS = 12
_NO_GRANTS: Mapping[str, Privilege] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class KeyScope:
    """The upper bound of a key's rights; its owner's rights are the other bound.

    *grants* maps databases to privileges. *everywhere* is the privilege on all other databases.
    With *admin* the key has the admin flag of its owner.
    """

    admin: bool = False
    everywhere: Privilege = Privilege.ALL
    grants: Mapping[str, Privilege] = field(default_factory=lambda: _NO_GRANTS)

    def restrict(self, user: User, databases: Iterable[str]) -> User:
        """Returns *user* with only the rights that this scope includes.

        *databases* are the names of all databases; they are read only for an administrator.
        """
        held = dict.fromkeys(databases, Privilege.ALL) if user.admin else user.grants
        grants = {
            name: left
            for name, privilege in held.items()
            if (left := privilege & self.grants.get(name, self.everywhere))
        }
        return replace(user, admin=user.admin and self.admin, grants=MappingProxyType(grants))


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A stored API key of the user *owner*. Times are Unix seconds; 0 stands for none.

    *prefix* is the start of the key's text, for people. *hash* is that of the current text, and
    *previous* that of the text before a rotation, which is valid until *previous_until*. The repr
    omits both. *revoked_at* is the time when the key was revoked. A login with the previous text
    sets *is_shown_by_previous*: then *hash* is that of the previous text. *imported* is "", or the
    number and the bcrypt hash of an imported key that was never used: then no text has *hash*.
    """

    owner_id: str
    owner: str
    name: str
    prefix: str
    hash: bytes = field(repr=False)
    scope: KeyScope
    created_at: int
    created_by: str
    id: str = ""
    rotated_at: int = 0
    expires_at: int = 0
    revoked_at: int = 0
    previous: bytes = field(default=b"", repr=False)
    previous_until: int = 0
    previous_seen_at: int = 0
    last_seen_at: int = 0
    last_address: str = ""
    is_shown_by_previous: bool = False
    imported: str = field(default="", repr=False)

    @property
    def lifetime(self) -> int:
        """The seconds for which the key's current text was made valid; 0 without an end."""
        return self.expires_at and self.expires_at - max(self.created_at, self.rotated_at)


def new_key_text() -> str:
    """Returns the text of a new key: `hgk_`, 43 random characters, `_`, and a checksum."""
    text = KEY_PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_CHARS))
    return f"{text}_{_checksum(text)}"


def is_key_text(text: str) -> bool:
    """Returns whether *text* is meant as a key. Such a text is never a password.

    That holds for the form of imported keys, too, also while the store has none: the answer then
    needs no look into the store.
    """
    return text.startswith((KEY_PREFIX, IMPORTED_PREFIX))


def key_fault(text: str) -> str:
    """Returns what is wrong with the form of the key *text*, or "" if its form is valid.

    The result is `parts`, `prefix`, `characters` or `checksum`. Reads no store.
    """
    if text.startswith(IMPORTED_PREFIX):
        return "" if imported_secret(text) is not None else "characters"
    parts = text.split("_") if len(text) <= _MAX_CHARS else []
    if len(parts) != 3:
        return "parts"
    if f"{parts[0]}_" != KEY_PREFIX:
        return "prefix"
    if len(parts[1]) != _RANDOM_CHARS or not _CHARACTERS.issuperset(parts[1]):
        return "characters"
    return "" if parts[2] == _checksum(f"{parts[0]}_{parts[1]}") else "checksum"


def key_hash(text: str) -> bytes:
    """Returns the hash by which a store finds the key *text*: SHA-256, 32 bytes.

    The text has 256 random bits, so that a fast hash is enough.
    """
    return hashlib.sha256(b"headgate key\0" + text.encode("utf-8", "surrogatepass")).digest()


def shown_prefix(text: str) -> str:
    """Returns the start of the key *text*, by which people recognize it."""
    return text[:_SHOWN_CHARS]


def _checksum(text: str) -> str:
    """Returns the CRC-32 of *text* as 8 hexadecimal digits, the lowest byte first."""
    return zlib.crc32(text.encode()).to_bytes(4, "little").hex()
