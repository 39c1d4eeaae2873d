"""Files that hold secrets, and whether other users of the machine may read them."""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_SECRET_WORDS = ("secret", "password", "token")
_SECRET_VALUE_OPTIONS = ("key-value", "jwk-set-value")


def holds_secret(table: Mapping[str, Any]) -> bool:
    """Returns whether *table*, or a table inside it, contains a secret itself.

    The name of a file with a secret, such as `password-file`, is no secret.
    """
    return any(
        bool(value)
        and isinstance(value, str)
        and key.endswith((*_SECRET_WORDS, *_SECRET_VALUE_OPTIONS))
        for key, value in _options(table)
    )


def named_secret_files(table: Mapping[str, Any]) -> list[str]:
    """Returns the names of the files with secrets in *table*, and in tables inside it.

    The names are the values of options such as `password-file` and `token-file`.
    """
    return [
        value
        for key, value in _options(table)
        if isinstance(value, str)
        and key.endswith("-file")
        and any(it in key for it in _SECRET_WORDS)
    ]


def readable_by_others(paths: Iterable[str]) -> list[str]:
    """Returns a warning for each of *paths* that other users of the machine can read or change."""
    return [
        f"users other than its owner can use {path} (mode {mode:04o}), which holds a secret:"
        f" it should have mode 0600"
        for path in dict.fromkeys(paths)
        if (mode := _insecure_mode(path)) is not None
    ]


def _insecure_mode(path: str) -> int | None:
    """Returns the mode of the file *path* if other users may read or change it, else None."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    # The group may read a file of another user, such as root: this process reads it as a member.
    others = stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP
    if found.st_uid == os.geteuid():
        others |= stat.S_IRGRP
    mode = stat.S_IMODE(found.st_mode)
    return mode if mode & others else None


def _options(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yields name and value of each option in *table* and in tables inside it.

    Each `_` in a name is replaced by `-`.
    """
    for key, value in table.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                yield from _options(one)
            else:
                yield key.replace("_", "-"), one
