"""The sessions that `headgate login` keeps: files, the keyring, tokens that are replaced."""

from pathlib import Path
from typing import Any

import pytest

from headgate.saved_sessions import (
    KeyringFailed,
    RotatingSession,
    SavedSession,
    SavedSessions,
    sessions_folder,
)
from headgate_shell.backends.base import ConnectionSettings

SESSION = SavedSession("http://h:8086", "ann", "headgate_session", "t0ken-Secret", True)


class FakeKeyring:
    """A keyring in memory. *broken* makes each call fail."""

    def __init__(self, *, broken: bool = False) -> None:
        self.tokens: dict[str, str] = {}
        self.broken = broken

    def _check(self) -> None:
        if self.broken:
            raise KeyringFailed("locked")

    def get(self, url: str) -> str:
        self._check()
        return self.tokens.get(url, "")

    def set(self, url: str, token: str) -> None:
        self._check()
        self.tokens[url] = token

    def delete(self, url: str) -> None:
        self._check()
        self.tokens.pop(url, None)


def test_each_new_token_replaces_the_saved_one(tmp_path: Path) -> None:
    sessions = SavedSessions(str(tmp_path))
    sessions.save(SESSION._replace(in_keyring=False))
    used = RotatingSession(sessions, SESSION.url, "ann")
    used.replace("headgate_session=next-Token-1; Path=/; Max-Age=60; HttpOnly")
    assert used.cookie() == "headgate_session=next-Token-1"
    used.replace("other=1; Path=/")
    assert used.cookie() == "headgate_session=next-Token-1"
    used.replace("headgate_session=; Path=/; Max-Age=0")
    assert used.cookie() == "" and sessions.find(SESSION.url) is None


def test_a_keyring_holds_the_token(tmp_path: Path) -> None:
    keyring = FakeKeyring()
    sessions = SavedSessions(str(tmp_path), keyring)
    assert sessions.save(SESSION) == SESSION == sessions.find(SESSION.url)
    (path,) = tmp_path.iterdir()
    assert "t0ken" not in path.read_text() and keyring.tokens == {SESSION.url: "t0ken-Secret"}
    keyring.broken = True
    with pytest.raises(ValueError, match="the keyring cannot be read: locked"):
        sessions.find(SESSION.url)
    keyring.broken = False
    sessions.remove(SESSION.url)
    assert not keyring.tokens and not list(tmp_path.iterdir())


def test_a_keyring_that_fails_is_replaced_by_the_file(tmp_path: Path) -> None:
    sessions = SavedSessions(str(tmp_path), FakeKeyring(broken=True))
    assert not sessions.save(SESSION).in_keyring
    found = sessions.find(SESSION.url)
    assert found is not None and found.token == SESSION.token


@pytest.mark.parametrize(
    "content", ["", "x", "[]", "{}", '{"user": "a"}', '{"user": "a", "cookie": "c"}']
)
def test_a_file_with_other_content_is_refused(tmp_path: Path, content: str) -> None:
    sessions = SavedSessions(str(tmp_path))
    sessions.save(SESSION._replace(in_keyring=False))
    (path,) = tmp_path.iterdir()
    path.write_text(content)
    with pytest.raises(ValueError, match="no session: repeat headgate login"):
        sessions.find(SESSION.url)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    sessions = SavedSessions(str(tmp_path))
    sessions.save(SESSION._replace(in_keyring=False))
    (path,) = tmp_path.iterdir()
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="symbolic link"):
        sessions.find(SESSION.url)


def test_a_session_is_used_at_its_own_server_and_without_another_login(tmp_path: Path) -> None:
    session = RotatingSession(SavedSessions(str(tmp_path)), "http://h:8086/db", "ann")
    connection = ConnectionSettings("H", 8086, path_prefix="/db/", session=session)
    assert connection.current_session is session
    changes: list[dict[str, Any]] = [
        *({"host": "evil"}, {"port": 8087}, {"ssl": True}, {"path_prefix": ""}),
        *({"socket": "/run/x"}, {"username": "root"}, {"token": "t"}),
    ]
    for change in changes:
        assert connection._replace(**change).current_session is None, change


def test_no_secret_is_in_a_representation(tmp_path: Path) -> None:
    session = RotatingSession(SavedSessions(str(tmp_path)), SESSION.url, "ann")
    connection = ConnectionSettings(session=session)
    assert not any("t0ken" in repr(it) for it in (SESSION, session, connection))


def test_the_folder_is_that_of_platformdirs(monkeypatch: pytest.MonkeyPatch) -> None:
    from platformdirs import user_data_path

    for value in ("", "/data"):
        monkeypatch.setenv("XDG_DATA_HOME", value)
        assert sessions_folder() == str(user_data_path("headgate") / "sessions")
