"""API keys that came from a Pyroscope: adds them to a store, and verifies their first use."""

import secrets
from collections.abc import Callable

from headgate_engine.errors import KeyExists, UserNotFound
from headgate_engine.model.api_key import ApiKey, KeyScope, key_hash, shown_prefix
from headgate_engine.model.imported_key import (
    IMPORTED_PREFIX,
    ImportedSecret,
    imported_hash,
    imported_mark,
)
from headgate_engine.passwords import Passwords
from headgate_engine.stores.account_base import UpkeepTx
from headgate_engine.stores.base import Store, Tx

_HASH_BYTES = 32


class ImportedKeys:
    """The imported keys in the user store *store*. Thread-safe; methods block on the disk.

    Pyroscope keeps the bcrypt hash of a key's secret. At the first use, bcrypt verifies the secret,
    and the store gets the SHA-256 hash of the text. Then the key is as any other key.
    """

    def __init__(self, store: Store, passwords: Passwords) -> None:
        self._store = store
        self._passwords = passwords

    def is_unused(self, shown: ImportedSecret) -> bool:
        """Returns whether there is a key with the number of *shown* that was never used.

        Runs no bcrypt: a client learns whether a number is that of such a key.
        """
        return bool(self._store.imported_api_keys(shown.number))

    def is_settled(self, shown: ImportedSecret) -> bool:
        """Returns whether a key is found by the text of *shown*: after its first use. No bcrypt."""
        return self._store.api_key_by_hash(key_hash(shown.text)) is not None

    def settle(self, shown: ImportedSecret) -> bool:
        """Returns whether *shown* is the secret of a key that was never used. Runs bcrypt.

        If it is, stores the SHA-256 hash of the key's text, by which the key is found from now on.
        Returns True, too, if another process has just done that. Raises StoreUnavailable,
        OutcomeUnknown.
        """
        hash, prefix = key_hash(shown.text), shown_prefix(shown.text)
        for key in self._store.imported_api_keys(shown.number):
            if self._passwords.verify_secret(imported_hash(key.imported), shown.secret):
                self._store.upkeep(_settled(key, hash, prefix))
                return True
        return self.is_settled(shown)


def _settled(key: ApiKey, hash: bytes, prefix: str) -> Callable[[UpkeepTx], None]:
    return lambda tx: tx.settle_api_key(key, hash, prefix)


def add_imported_key(
    tx: Tx,
    owner: str,
    name: str,
    number: int,
    hash: str,
    scope: KeyScope,
    *,
    created_at: int,
    expires_at: int = 0,
) -> None:
    """Adds the key *name* of the user *owner*, which has *number* and bcrypt *hash* in a Pyroscope.

    The limits of new keys do not apply. Raises UserNotFound, KeyExists.
    """
    user = tx.user(owner)
    if user is None:
        raise UserNotFound
    if any(key.name == name for key in tx.api_keys(user)):
        raise KeyExists
    # No text has this hash: it is random, and SHA-256 cannot be inverted. And a key with a mark is
    # never accepted by its hash.
    placeholder = secrets.token_bytes(_HASH_BYTES)
    key = ApiKey(
        *(user.id, user.name, name, IMPORTED_PREFIX, placeholder, scope),
        created_at=created_at,
        created_by="Pyroscope",
        rotated_at=created_at,
        expires_at=expires_at,
        imported=imported_mark(number, hash),
    )
    tx.add_api_key(key)
