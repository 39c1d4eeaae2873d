"""The Protocol `KeySource`: a source of the keys that verify an issuer's tokens.

Keys in a file or in the configuration are read once, as `StaticKeys`. Keys at a URL are fetched
repeatedly, by `headgate_server.auth.jwt.jwks_client`.
"""

from typing import Protocol

from headgate_server.auth.jwt.keys import Keys, UnusableKey, from_jwks, from_pem
from headgate_server.config.jwt import SOURCES, JwtSettings
from headgate_server.config.text_file import read_text


class KeySource(Protocol):
    """A source of the keys that verify an issuer's tokens. The keys may change over time."""

    async def keys(self) -> Keys:
        """Returns all current keys. Raises KeysUnavailable if there are no valid keys."""
        ...

    async def refresh(self) -> Keys:
        """Looks for new keys, and returns all current keys. Raises KeysUnavailable.

        Call it when no key matches a token, because the issuer may have added a key.
        """
        ...

    def last_fetch(self) -> tuple[str, float] | None:
        """Returns from which host the keys were fetched, and how many seconds ago.

        None for keys that were not fetched.
        """
        ...

    async def retire(self) -> None:
        """Waits until fetches in progress have ended, and then does what `close` does."""
        ...

    async def close(self) -> None:
        """Cancels fetches in progress, and closes the connections.

        Afterwards, `keys` returns the cached keys as long as they are valid.
        """
        ...


class StaticKeys:
    """Implements `KeySource` for keys that never change."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def keys(self) -> Keys:
        """Returns the keys that the constructor received."""
        return self._keys

    async def refresh(self) -> Keys:
        """Returns the same keys as `keys`: nothing can be fetched."""
        return self._keys

    def last_fetch(self) -> None:
        """Returns None: the keys are in the configuration, or in a file."""

    async def retire(self) -> None:
        """Does nothing: no fetch is in progress, and no connection is open."""

    async def close(self) -> None:
        """Does nothing: no fetch is in progress, and no connection is open."""


def source_option(settings: JwtSettings) -> str:
    """Returns the name of the option in SOURCES that is set, such as `key-file`.

    The option says where the keys are. Raises ValueError if no option in SOURCES is set, or if
    several of them are set.
    """
    given = [name for name in SOURCES if getattr(settings, name.replace("-", "_"))]
    if not given:
        raise ValueError(f"key source not configured: expected one of {', '.join(SOURCES)}")
    if len(given) > 1:
        raise ValueError(f"key source ambiguous: {' and '.join(given)}")
    return given[0]


def static_keys(option: str, settings: JwtSettings) -> StaticKeys:
    """Returns the keys that *option* contains, or that are in the file named by *option*.

    *option* is an option in SOURCES other than `jwk-set-url`. Raises ValueError if the keys are
    invalid, or the file is unreadable: one line that names the option.
    """
    text = getattr(settings, option.replace("-", "_")).encode()
    try:
        if option.endswith("-file"):
            text = read_text(text.decode()).encode()
        if option.startswith("jwk"):
            return StaticKeys(from_jwks(text))
        return StaticKeys([from_pem(text, settings.key_id or None)])
    except OSError as error:
        raise ValueError(f"{option}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{option}: not UTF-8") from None
    except UnusableKey as error:
        raise ValueError(f"{option}: {error}") from None
