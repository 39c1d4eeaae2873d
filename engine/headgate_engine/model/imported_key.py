"""The text of API keys that Pyroscope made, and what a store keeps of such a key until its use.

The text is that of Pyroscope 0.10 to 0.37: `psx-`, then Base64 of the key's number and its secret.
The number is a variable-length integer of Protocol Buffers; the secret is 32 random bytes. Base64
has the URL's alphabet and no padding (RFC 4648, section 5).
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field

IMPORTED_PREFIX = "psx-"
_SECRET_BYTES = 32
_MAX_NUMBER_BYTES = 10  # of 64 bits
_MAX_NUMBER = (1 << 63) - 1  # of a row in SQLite


@dataclass(frozen=True, slots=True)
class ImportedSecret:
    """The parts of the text of an imported key: its *number* and its *secret*."""

    number: int
    secret: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """The text of the key. It is a secret."""
        payload = _encoded_number(self.number) + self.secret
        return IMPORTED_PREFIX + urlsafe_b64encode(payload).decode("ascii").rstrip("=")


def imported_secret(text: str) -> ImportedSecret | None:
    """Returns the parts of the key *text*, or None for any other text.

    A key has one text: another encoding of the same parts is no key.
    """
    encoded = text.removeprefix(IMPORTED_PREFIX)
    most = (_MAX_NUMBER_BYTES + _SECRET_BYTES) * 4 // 3
    if encoded == text or len(encoded) > most or not encoded.isascii():
        return None
    try:
        payload = urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    except ValueError:
        return None
    head, secret = payload[:-_SECRET_BYTES], payload[-_SECRET_BYTES:]
    number = sum((byte & 0x7F) << (7 * place) for place, byte in enumerate(head))
    found = ImportedSecret(number, secret)
    # Base64 skips foreign characters, and numbers may have zeros at their end.
    return found if head and number <= _MAX_NUMBER and found.text == text else None


def imported_mark(number: int, hash: str) -> str:
    """Returns what a store keeps of a key until its first use: its *number* and bcrypt *hash*."""
    return f"{number}:{hash}"


def imported_hash(mark: str) -> str:
    """Returns the bcrypt hash in *mark*, which `imported_mark` returned."""
    return mark.partition(":")[2]


def _encoded_number(number: int) -> bytes:
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
