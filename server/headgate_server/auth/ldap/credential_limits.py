"""Which user names and passwords are sent to a directory at all."""

_MAX_NAME_BYTES = 256
_MAX_PASSWORD_BYTES = 1024


def may_be_sent(name: str, password: str) -> bool:
    """Returns whether *name* and *password* may be sent to a directory.

    An empty password may not: with it, many directories accept a bind as any user (RFC 4513,
    section 5.1.2). Neither may NUL, which ends texts in C, nor a text that is no valid Unicode.
    """
    try:
        name_length, password_length = len(name.encode()), len(password.encode())
    except UnicodeEncodeError:
        return False
    return (
        0 < name_length <= _MAX_NAME_BYTES
        and 0 < password_length <= _MAX_PASSWORD_BYTES
        and "\0" not in name
        and "\0" not in password
    )
