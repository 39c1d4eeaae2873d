"""Where keys come from: a file or a value, read once, or a URL, asked again and again."""

from typing import Protocol

from headgate_server.auth.jwt.keys import Keys, UnusableKey, from_jwks, from_pem
from headgate_server.config.jwt import SOURCES, JwtSettings
from headgate_server.config.text_file import read_text


class KeysUnavailable(Exception):
    """No key is at hand, so nothing can be said of any token."""

    def __init__(self) -> None:
        super().__init__("the keys to verify tokens with are not available, try again")


class Source(Protocol):
    """Keys, as they are now."""

    async def keys(self) -> Keys:
        """All of them. Raises KeysUnavailable."""
        ...

    async def newer(self) -> Keys:
        """The same, after a look whether there are others, for a key that is not among them."""
        ...

    async def retire(self) -> None:
        """The same as `close`, once what is under way has come to its end."""
        ...

    async def close(self) -> None:
        """Gives back what it holds. Keys that it has stay known, others are not looked for."""
        ...


class Fixed:
    """Keys that stay."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def keys(self) -> Keys:
        return self._keys

    async def newer(self) -> Keys:
        return self._keys

    async def retire(self) -> None:
        """Nothing to give back."""

    async def close(self) -> None:
        """Nothing to give back."""


def source_option(settings: JwtSettings) -> str:
    """The one option that says where keys come from. Raises ValueError for none, or several."""
    given = [name for name in SOURCES if getattr(settings, name.replace("-", "_"))]
    if not given:
        raise ValueError(f"key source not configured: expected one of {', '.join(SOURCES)}")
    if len(given) > 1:
        raise ValueError(f"key source ambiguous: {' and '.join(given)}")
    return given[0]


def fixed(option: str, settings: JwtSettings) -> Fixed:
    """The keys of a file or a value. Raises ValueError, one line with the option."""
    text = getattr(settings, option.replace("-", "_")).encode()
    try:
        if option.endswith("-file"):
            text = read_text(text.decode()).encode()
        if option.startswith("jwk"):
            return Fixed(from_jwks(text))
        return Fixed([from_pem(text, settings.key_id or None)])
    except OSError as error:
        raise ValueError(f"{option}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{option}: no UTF-8") from None
    except UnusableKey as error:
        raise ValueError(f"{option}: {error}") from None
