"""Hides logins and other secrets in URLs that occur in a text."""

import re

REDACTED = "[REDACTED]"

# A piece of text between white space or quotes; a URL lies within one such piece.
_RUN = re.compile(r"""(?:\\.|[^\s'"\\])+""", re.DOTALL)
_PARAMETER = re.compile(
    r"""([?&;](?:p|pw|pwd|pass|passwd|password|secret|client_secret|token|access_token|auth|auth_token
        |key|api[_-]?key|sig|signature)=)(?:\\.|[^\s'"\\&;\#])+""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_DESTINATION = re.compile(r"\A([A-Za-z][A-Za-z0-9+.-]*://)?(?:.*@)?([^?]*)(\?.*)?\Z", re.DOTALL)


def redact_urls(text: str) -> str:
    """Returns *text* with `[REDACTED]` in place of the logins and secret parameters in its URLs.

    A login is the part of a URL between `://` and `@`. The values of query parameters with names
    such as `password` and `token` are secret.
    """
    if "://" not in text:
        return text
    return _PARAMETER.sub(rf"\1{REDACTED}", _RUN.sub(_without_login, text))


def _without_login(run: re.Match[str]) -> str:
    """Returns the matched text with `[REDACTED]` in place of all between `://` and the last `@`.

    The last `@` is the end of the login, because a password may itself hold an `@`.
    """
    scheme, mark, rest = run[0].partition("://")
    _, at, host = rest.rpartition("@")
    return f"{scheme}{mark}{REDACTED}@{host}" if at else run[0]


def redact_destination(url: str) -> str:
    """Returns *url* with `[REDACTED]` in place of its login and in place of its query string."""
    found = _DESTINATION.fullmatch(url)
    assert found is not None  # it matches any text
    scheme, rest, query = found[1] or "", found[2], found[3]
    login = f"{REDACTED}@" if "@" in url.removesuffix(query or "")[len(scheme) :] else ""
    return f"{scheme}{login}{rest}" + (f"?{REDACTED}" if query else "")
