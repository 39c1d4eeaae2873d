"""Seals texts that leave the server or rest in its store: login flows, tokens of providers.

Uses cryptography's Fernet: AES-128-CBC and HMAC-SHA256.
"""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from headgate_server.config.secret_files import readable_by_others
from headgate_server.telemetry.logging import log_error


class Sealer:
    """Seals with the first key in the file *path*, and opens with each key in it.

    The file has one key a line, 32 bytes in URL-safe Base64. It is created with mode 0600 at the
    first use. Thread-safe.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._keys: MultiFernet | None = None

    def seal(self, content: bytes) -> bytes:
        """Returns *content*, sealed. Raises OSError if the file of keys cannot be used."""
        return self._loaded().encrypt(content)

    def open(self, sealed: bytes, max_age: int | None = None) -> bytes | None:
        """Returns the content of *sealed*; None if no key opens it, or it is older than *max_age*.

        *max_age* is in seconds. Raises OSError if the file of keys cannot be used.
        """
        try:
            return self._loaded().decrypt(sealed, ttl=max_age)
        except InvalidToken:
            return None

    def _loaded(self) -> MultiFernet:
        if self._keys is None:
            with suppress(FileExistsError):
                self._create()
            for warning in readable_by_others([str(self._path)]):
                log_error(warning)
            lines = self._path.read_bytes().split()
            try:
                self._keys = MultiFernet([Fernet(line) for line in lines])
            except ValueError:
                raise OSError(f"{self._path}: expected lines of 32 bytes in Base64") from None
        return self._keys

    def _create(self) -> None:
        """Creates the file with a new key. Raises FileExistsError if another process has."""
        if self._path.exists():
            raise FileExistsError
        # A file of its own name first: a reader never sees half of a key.
        descriptor, draft = tempfile.mkstemp(prefix=f"{self._path.name}.", dir=self._path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(Fernet.generate_key() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, self._path)
        finally:
            os.unlink(draft)
