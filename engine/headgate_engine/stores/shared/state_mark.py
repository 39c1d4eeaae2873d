"""A file that keeps how far the store had come: a start notices a store that went back."""

import json
import os
from pathlib import Path

from headgate_engine.errors import StoreError
from headgate_engine.stores.shared.log import Head


class StateMark:
    """The newest known epoch and revision of a store in the file *path*."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._written: tuple[str, int] | None = None

    def check(self, head: Head) -> None:
        """Raises StoreError if the store at *head* is behind the file.

        Another epoch is another history, which an administrator has accepted or made.
        """
        known = self._read()
        if known is not None and known[0] == head.epoch and head.revision < known[1]:
            raise StoreError(
                f"the store went back from revision {known[1]} to {head.revision}:"
                " see `headgate store accept-rollback`"
            )

    def keep(self, head: Head) -> None:
        """Writes the position of *head* if it is new. Raises StoreError."""
        if self._written == (head.epoch, head.revision):
            return
        new = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(file, "w") as text:
                json.dump({"epoch": head.epoch, "revision": head.revision}, text)
            new.replace(self._path)
        except OSError as error:
            raise StoreError(f"state file {self._path}: {error.strerror}") from None
        self._written = head.epoch, head.revision

    def _read(self) -> tuple[str, int] | None:
        try:
            content = json.loads(self._path.read_text())
            return str(content["epoch"]), int(content["revision"])
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"state file {self._path}: {error.strerror}") from None
        except (ValueError, KeyError, TypeError):
            raise StoreError(
                f"state file {self._path} is damaged: remove it if the store is right"
            ) from None
