"""URLs of servers in the flags of commands."""

from urllib.parse import urlsplit

from headgate_shell.backends.base import ConnectionSettings


def is_url(path: str) -> bool:
    """Returns whether *path* is the URL of a server, not the name of a file."""
    return path.startswith(("http://", "https://"))


def connection_to(url: str, username: str, password: str) -> ConnectionSettings:
    """Returns the settings of a connection to the server at *url*, with port 8086 by default.

    Raises ValueError, with a message of one line.
    """
    parts = urlsplit(url)
    if not is_url(url) or not parts.hostname or parts.username is not None or parts.query:
        raise ValueError("expected a URL such as http://localhost:8086, without a login")
    return ConnectionSettings(
        parts.hostname,
        parts.port or 8086,
        username,
        password,
        ssl=parts.scheme == "https",
        path_prefix=parts.path,
    )
