"""The sessions that `headgate login` keeps: a file for each server, and the token in it or beside.

The token itself is in the system's keyring if there is one, else in the file, which only its owner
may read. A shell looks for a session at each start: imports are on demand.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote, unquote, urlsplit

_SERVICE = "headgate"
_SUFFIX = ".json"
_OTHERS = 0o077


class KeyringFailed(Exception):
    """The keyring is missing, locked or out of order."""


class Keyring(Protocol):
    """A store of secrets. Each method raises KeyringFailed."""

    def get(self, url: str) -> str:
        """Returns the token for *url*; "" for none."""
        ...

    def set(self, url: str, token: str) -> None:
        """Stores *token* for *url*."""
        ...

    def delete(self, url: str) -> None:
        """Deletes the token for *url*, if there is one."""
        ...


class SystemKeyring:
    """The keyring of the system, by the package `keyring`. Raises KeyringFailed without it."""

    def __init__(self) -> None:
        from importlib import import_module

        try:
            self._keyring: Any = import_module("keyring")
            self._errors: Any = import_module("keyring.errors")
        except ImportError:
            raise KeyringFailed("the package keyring is not installed") from None

    def get(self, url: str) -> str:
        """Returns the token for *url*; "" for none."""
        return str(self._call("get_password", url) or "")

    def set(self, url: str, token: str) -> None:
        """Stores *token* for *url*."""
        self._call("set_password", url, token)

    def delete(self, url: str) -> None:
        """Deletes the token for *url*, if there is one."""
        try:
            self._keyring.delete_password(_SERVICE, url)
        except self._errors.PasswordDeleteError:
            pass  # there is none
        except self._errors.KeyringError as error:
            raise KeyringFailed(type(error).__name__) from None

    def _call(self, name: str, *words: str) -> Any:
        try:
            return getattr(self._keyring, name)(_SERVICE, *words)
        except self._errors.KeyringError as error:
            raise KeyringFailed(type(error).__name__) from None


class SavedSession(NamedTuple):
    """A session at the server *url*. *cookie* is the name of its cookie, *token* the value."""

    url: str
    user: str
    cookie: str
    token: str
    in_keyring: bool = False

    def __repr__(self) -> str:
        return f"SavedSession({self.url!r}, {self.user!r})"


class SavedSessions:
    """The sessions in *folder*, by URL. *keyring* replaces the system's."""

    def __init__(self, folder: str = "", keyring: Keyring | None = None) -> None:
        self._folder = folder or sessions_folder()
        self._keyring = keyring

    def find(self, url: str) -> SavedSession | None:
        """Returns the session at *url*, or None.

        Raises ValueError, with one line, if the file cannot be used or its token is missing.
        """
        content = self._read(url)
        if content is None:
            return None
        try:
            user, cookie = str(content["user"]), str(content["cookie"])
            in_keyring = bool(content.get("keyring"))
            token = "" if in_keyring else str(content["token"])
        except (LookupError, TypeError, AttributeError):
            raise ValueError(f"{self._path(url)}: no session: repeat headgate login") from None
        if in_keyring:
            token = self._token(url)
        return SavedSession(url, user, cookie, token, in_keyring)

    def user_at(self, url: str) -> str:
        """Returns the user of the session at *url*; "" without one, and if it cannot be read."""
        with suppress(ValueError):
            return str((self._read(url) or {}).get("user", ""))
        return ""

    def _token(self, url: str) -> str:
        try:
            token = self._opened_keyring().get(url)
        except KeyringFailed as error:
            raise ValueError(f"the keyring cannot be read: {error}") from None
        if not token:
            raise ValueError(f"the keyring has no session at {url}: repeat headgate login")
        return token

    def save(self, session: SavedSession) -> SavedSession:
        """Stores *session* in place of the one at its URL, and returns it as it is stored.

        With `in_keyring`, a keyring that fails makes the file hold the token. Raises ValueError if
        the file cannot be written.
        """
        if session.in_keyring:
            try:
                self._opened_keyring().set(session.url, session.token)
            except KeyringFailed:
                session = session._replace(in_keyring=False)
        content: dict[str, Any] = {"user": session.user, "cookie": session.cookie}
        content |= {"keyring": True} if session.in_keyring else {"token": session.token}
        self._write(session.url, json.dumps(content).encode())
        return session

    def remove(self, url: str) -> None:
        """Removes the session at *url*, if there is one."""
        with suppress(ValueError, KeyringFailed):
            if (self._read(url) or {}).get("keyring"):
                self._opened_keyring().delete(url)
        with suppress(FileNotFoundError):
            os.unlink(self._path(url))

    def urls(self) -> Iterator[str]:
        """Yields the URLs of all sessions, in order."""
        names = sorted(os.listdir(self._folder)) if os.path.isdir(self._folder) else []
        for name in names:
            if name.endswith(_SUFFIX):
                yield unquote(name.removesuffix(_SUFFIX))

    def _opened_keyring(self) -> Keyring:
        if self._keyring is None:
            self._keyring = SystemKeyring()
        return self._keyring

    def _path(self, url: str) -> str:
        return os.path.join(self._folder, f"{quote(url, safe='')}{_SUFFIX}")

    def _read(self, url: str) -> Any:
        """Returns the content of the file for *url*; None without a file. Raises ValueError."""
        path = self._path(url)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ValueError(f"{path}: {error.strerror}") from None
        with open(descriptor, "rb") as file:
            state = os.fstat(file.fileno())
            if state.st_mode & _OTHERS:
                raise ValueError(
                    f"{path}: other users may read it: remove it, and repeat headgate login"
                )
            if state.st_uid != os.getuid():
                raise ValueError(f"{path}: it belongs to another user")
            try:
                content = json.loads(file.read())
            except ValueError:
                content = None
        if not isinstance(content, dict):
            raise ValueError(f"{path}: no session: repeat headgate login")
        return content

    def _write(self, url: str, content: bytes) -> None:
        """Writes the file for *url* in one step: another process reads the old or the new one."""
        path = self._path(url)
        draft = f"{path}.{os.getpid()}"
        try:
            os.makedirs(self._folder, 0o700, exist_ok=True)
            with suppress(FileNotFoundError):
                os.unlink(draft)  # of a process that was killed
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                with open(descriptor, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(draft, path)
            except OSError:
                os.unlink(draft)
                raise
        except OSError as error:
            raise ValueError(f"{path}: {error.strerror}") from None


class RotatingSession:
    """The saved session at *url*, as the requests of a connection use it.

    It is read again for each request: another process may have got its next token meanwhile.
    """

    def __init__(self, sessions: SavedSessions, url: str, user: str) -> None:
        self._sessions = sessions
        self.url, self.user = url, user

    def __repr__(self) -> str:
        return f"RotatingSession({self.url!r}, {self.user!r})"

    def cookie(self) -> str:
        """Returns the header field `Cookie`; "" if the session is gone. Raises ValueError."""
        session = self._sessions.find(self.url)
        return f"{session.cookie}={session.token}" if session is not None else ""

    def replace(self, field: str) -> None:
        """Stores the token in *field*, a value of `Set-Cookie`; without a token, removes it.

        A token that cannot be stored is lost. The server then accepts the previous one for longer.
        """
        name, token = cookie_of(field)
        with suppress(ValueError):
            session = self._sessions.find(self.url)
            if session is None or session.cookie != name:
                return
            if token:
                self._sessions.save(session._replace(token=token))
            else:
                self._sessions.remove(self.url)


def cookie_of(field: str) -> tuple[str, str]:
    """Returns the name and the value of the cookie in *field*, a value of `Set-Cookie`."""
    name, _, value = field.partition(";")[0].partition("=")
    return name.strip(), value.strip()


def saved_session(url: str, user: str = "") -> RotatingSession | None:
    """Returns the saved session at *url*, or None. Raises ValueError if it cannot be used.

    With *user*, returns None for a session of another user, also for one that cannot be used.
    """
    if not url or not os.path.isdir(sessions_folder()):
        return None
    sessions = SavedSessions()
    if user and sessions.user_at(url) != user:
        return None
    session = sessions.find(url)
    return RotatingSession(sessions, url, session.user) if session is not None else None


def session_of_same_machine(url: str) -> str:
    """Returns the URL of a saved session at the same machine by another name or port, or ""."""
    host = _host_of(url)
    return next((one for one in SavedSessions().urls() if one != url and _host_of(one) == host), "")


def _host_of(url: str) -> str:
    """Returns the name of the host in *url*, the same one for all names of this machine."""
    host = urlsplit(url).hostname or ""
    return "localhost" if host in ("127.0.0.1", "::1") else host


def sessions_folder() -> str:
    """Returns the folder of the sessions, in the user's folder for data."""
    if sys.platform == "linux":
        # What platformdirs returns. Its import takes as long as the rest of a script's start.
        base = os.environ.get("XDG_DATA_HOME", "")
        data = base if base.strip() else os.path.expanduser("~/.local/share")
        return os.path.join(data, "headgate", "sessions")
    from platformdirs import user_data_dir

    return os.path.join(user_data_dir("headgate", appauthor=False), "sessions")
