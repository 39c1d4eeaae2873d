"""Sources of the keys that verify tokens.

Keys in a file or in the configuration are read once; keys at a URL are fetched repeatedly.
"""

from typing import Protocol

from headgate_server.auth.jwt.keys import Keys, UnusableKey, from_jwks, from_pem
from headgate_server.config.jwt import SOURCES, JwtSettings
from headgate_server.config.text_file import read_text


class KeysUnavailable(Exception):
    """No key is available, so no token can be verified."""

    def __init__(self) -> None:
        super().__init__("the keys to verify tokens with are not available, try again")


class KeySource(Protocol):
    """A source of the keys that verify an issuer's tokens. The keys may change over time."""

    async def keys(self) -> Keys:
        """Returns all current keys. Raises KeysUnavailable."""
        ...

    async def refresh(self) -> Keys:
        """Looks for new keys, and returns all current keys. Raises KeysUnavailable.

        Call it when no key matches a token, because the issuer may have added a key.
        """
        ...

    async def retire(self) -> None:
        """Waits until fetches in progress have ended, and then releases resources like `close`."""
        ...

    async def close(self) -> None:
        """Releases resources. The current keys stay available; no new keys are fetched."""
        ...


class StaticKeys:
    """Implements `KeySource` for keys that never change."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def keys(self) -> Keys:
        """Returns the keys."""
        return self._keys

    async def refresh(self) -> Keys:
        """Returns the keys, which never change."""
        return self._keys

    async def retire(self) -> None:
        """Does nothing: there are no resources."""

    async def close(self) -> None:
        """Does nothing: there are no resources."""


def source_option(settings: JwtSettings) -> str:
    """Returns the name of the option that says where the keys are: the one in SOURCES that is set.

    Raises ValueError if no such option is set, or several.
    """
    given = [name for name in SOURCES if getattr(settings, name.replace("-", "_"))]
    if not given:
        raise ValueError(f"key source not configured: expected one of {', '.join(SOURCES)}")
    if len(given) > 1:
        raise ValueError(f"key source ambiguous: {' and '.join(given)}")
    return given[0]


def static_keys(option: str, settings: JwtSettings) -> StaticKeys:
    """Returns the keys in the file or the value that *option* names.

    Raises ValueError if they are invalid: one line that names the option.
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
