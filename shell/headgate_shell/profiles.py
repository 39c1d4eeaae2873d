"""Where and as whom to connect, in short: a URL, or a profile in `shell.toml`."""

import os
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from headgate_shell.go_flags import FlagError, Value

# The keys of a profile, which are flags. A password is in none of them.
_KEYS = ("url", "username", "database", "format", "precision", "socket", "unsafeSsl", "store")


def with_profile(given: Mapping[str, Value]) -> dict[str, Value]:
    """Returns the flags *given*, with those that `-profile` and `-url` stand for.

    A flag that is given itself counts more than one of the profile. Raises FlagError.
    """
    flags = _without_url(given)
    if name := str(given.get("profile", "")):
        profile = _read_profile(name)
        if "url" in given:  # another server than that of the profile
            profile.pop("url", None)
        flags = _without_url(profile) | flags
    return flags


def _without_url(given: Mapping[str, Value]) -> dict[str, Value]:
    """Returns the flags *given*, with those that its URL stands for in place of the URL."""
    flags = dict(given)
    url = str(flags.pop("url", ""))
    return _of_url(url) | flags if url else flags


def _of_url(url: str) -> dict[str, Value]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise FlagError("-url: invalid URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise FlagError("-url: expected http://HOST:PORT or https://HOST:PORT/PREFIX")
    if parts.password is not None:
        raise FlagError("-url: a password in a URL is visible to others: see -password")
    is_tls = parts.scheme == "https"
    found: dict[str, Value] = {"host": parts.hostname, "ssl": is_tls}
    found["port"] = port if port is not None else (443 if is_tls else 80)
    if parts.path.strip("/"):
        found["path-prefix"] = parts.path
    if parts.username:
        found["username"] = unquote(parts.username)
    return found


def _read_profile(name: str) -> dict[str, Value]:
    """Returns the flags of the profile *name*. Raises FlagError."""
    # Imported on demand: most scripts have no profile.
    import tomllib

    from platformdirs import user_config_path

    path = os.environ.get("HEADGATE_SHELL_CONFIG") or user_config_path("headgate") / "shell.toml"
    try:
        with open(path, "rb") as file:
            profiles = tomllib.load(file).get("profiles", {})
    except OSError as error:
        raise FlagError(f"-profile {name}: {path}: {error.strerror}") from None
    except ValueError as error:
        raise FlagError(f"-profile {name}: {path}: invalid TOML: {error}") from None
    profile = profiles.get(name) if isinstance(profiles, dict) else None
    if not isinstance(profile, dict):
        known = ", ".join(sorted(profiles)) if isinstance(profiles, dict) else ""
        raise FlagError(f"-profile {name}: {path} has no such profile; it has: {known or 'none'}")
    flags: dict[str, Value] = {}
    for key, value in profile.items():
        flag = "unsafeSsl" if key == "unsafe-ssl" else key
        if flag not in _KEYS:
            raise FlagError(f"-profile {name}: {key}: expected one of {', '.join(_KEYS)}")
        if type(value) is not (bool if flag == "unsafeSsl" else str):
            raise FlagError(f"-profile {name}: {key}: invalid value")
        flags[flag] = value
    return flags
