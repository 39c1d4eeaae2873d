"""What is known of a user beside name, password and rights: the e-mail address, names, times."""

from dataclasses import dataclass

from headgate_engine.errors import BadProfile

_MAX_EMAIL_CHARS, _MAX_FULL_NAME_CHARS = 254, 255


@dataclass(frozen=True, slots=True)
class Profile:
    """The profile of a user. Times are Unix seconds; 0 stands for none.

    *email* is as given; several users may have the same. *email_verified* is True if an
    administrator or an identity provider confirmed it. *last_seen_at* is the time of the last
    login, at most 5 minutes late. *has_identity* is whether a token issuer's identity is linked.
    """

    email: str = ""
    email_verified: bool = False
    full_name: str = ""
    updated_at: int = 0
    last_seen_at: int = 0
    has_identity: bool = False


def check_email(email: str) -> None:
    """Raises BadProfile unless *email* is "" or has the form of an e-mail address."""
    local, at, domain = email.rpartition("@")
    if not email:
        return
    if len(email) > _MAX_EMAIL_CHARS or not (local and at and domain) or "@" in local:
        raise BadProfile("email: expected an address such as todd@example.com")
    if any(char.isspace() for char in email) or not email.isprintable():
        raise BadProfile("email: a blank or a control character")


def check_full_name(name: str) -> None:
    """Raises BadProfile for more than 255 characters, or a control character."""
    if len(name) > _MAX_FULL_NAME_CHARS:
        raise BadProfile(f"fullName: at most {_MAX_FULL_NAME_CHARS} characters")
    if not name.isprintable():
        raise BadProfile("fullName: a control character")
