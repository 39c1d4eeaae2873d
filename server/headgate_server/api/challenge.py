"""The challenge of a 401 response: `WWW-Authenticate` (RFC 9110, 11.6.1)."""


def challenge(realm: str, scheme: str = "Basic") -> str:
    """Returns the value of `WWW-Authenticate` that asks for *scheme* in *realm*."""
    return f'{scheme} realm="{realm}"'
