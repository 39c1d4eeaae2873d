"""Search filters of LDAP (RFC 4515): puts texts of users into them."""

_ESCAPED = {"\\": r"\5c", "*": r"\2a", "(": r"\28", ")": r"\29", "\0": r"\00"}


def escaped_assertion(value: str) -> str:
    """Returns *value* as the value of an assertion in a filter.

    RFC 4515, section 3. Raises ValueError if *value* contains NUL, which some libraries take for
    the end of the filter.
    """
    if "\0" in value:
        raise ValueError("NUL in the value of a filter")
    return "".join(_ESCAPED.get(sign, sign) for sign in value)


def filled_filter(pattern: str, value: str) -> str:
    """Returns the filter *pattern* with *value* in place of each `%s`.

    Raises ValueError if *value* contains NUL.
    """
    return pattern.replace("%s", escaped_assertion(value))
