"""Rejects short and common passwords of people (NIST SP 800-63B, section 3.1.1.2). Uses zxcvbn."""

from functools import lru_cache

from headgate_engine import BadPassword

# Passwords of people: those of programs are random, and may be shorter.
MIN_CHARACTERS = 8
_MOST_COMMON = 3000


def check_persons_password(password: str, min_length: int) -> None:
    """Raises BadPassword if *password* is too short or common for a person to choose.

    The least is 8 characters, or *min_length* if that is more. The most common passwords of that
    length are rejected, in any case of letters.
    """
    least = max(MIN_CHARACTERS, min_length)
    if len(password) < least:
        raise BadPassword(f"password is too short: at least {least} characters")
    if password.lower() in _common_passwords(least):
        raise BadPassword("password is too common")


@lru_cache(maxsize=4)
def _common_passwords(least: int) -> frozenset[str]:
    """Returns the most common passwords of at least *least* characters, in lower case."""
    from zxcvbn.frequency_lists import FREQUENCY_LISTS  # on demand: it has 100,000 words

    found = (word for word in FREQUENCY_LISTS["passwords"] if len(word) >= least)
    return frozenset(word.lower() for word, _ in zip(found, range(_MOST_COMMON), strict=False))
