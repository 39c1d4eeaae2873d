"""The words of the console's pages for times, clients, scopes and names."""

import time
from dataclasses import replace

import pytest

from headgate_engine import ApiKey, KeyScope, User
from headgate_grammar import Privilege
from headgate_server.console import wording

KEY = ApiKey("1", "todd", "eu", "hgk_x", b"1" * 32, KeyScope(), 5, "root")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "now"),
        (-1, "now"),
        (-5, "5 seconds ago"),
        (-61, "1 minute ago"),
        (3599, "in 60 minutes"),
        (-7300, "2 hours ago"),
        (7 * 86_400 - 1, "in 7 days"),
        (86_400 * 90, "in 90 days"),
        (-86_400 * 150, "5 months ago"),
        (86_400 * 365 * 3, "in 3 years"),
    ],
)
def test_a_time_is_in_words(seconds: float, words: str) -> None:
    assert wording.distance(seconds) == words


def test_a_time_has_its_exact_value() -> None:
    html = str(wording.ago(86_400))
    assert html.startswith('<time datetime="1970-01-02T00:00:00Z" title="1970-01-02 00:00:00 UTC">')
    assert str(wording.ago(0)) == "never"


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64) Chrome/150.0 Safari/537.36", "Chrome on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/150.0 Safari/537.36 Edg/150", "Edge on Windows"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 15) Version/26 Safari/605", "Safari on macOS"),
        ("Mozilla/5.0 (Android 16; Mobile) Firefox/150.0", "Firefox on Android"),
        ("curl/8.5", "curl"),
        ("", "unknown program"),
    ],
)
def test_a_client_is_in_words(agent: str, words: str) -> None:
    assert wording.client(agent) == words


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        (KeyScope(), "everything that the owner may do"),
        (KeyScope(admin=True), "everything, as administrator"),
        (KeyScope(everywhere=Privilege.READ), "READ on all databases"),
        (KeyScope(everywhere=Privilege.NONE), "nothing"),
        (
            KeyScope(everywhere=Privilege.NONE, grants={"a<b": Privilege.ALL}),
            "ALL on <bdi>a&lt;b</bdi>",
        ),
        (
            KeyScope(everywhere=Privilege.READ, grants={"a": Privilege.WRITE}),
            "WRITE on <bdi>a</bdi>, READ on other databases",
        ),
    ],
)
def test_a_scope_is_in_words(scope: KeyScope, words: str) -> None:
    assert str(wording.scope(scope)) == words


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("todd", "<bdi>todd</bdi>"),
        ("<b>", "<bdi>&lt;b&gt;</bdi>"),
        ("a\x1b\u202eb", "<bdi>a\\x1b\\u{202e}b</bdi>"),
        ("n" * 65, f'<bdi title="{"n" * 65}">{"n" * 63}…</bdi>'),
    ],
)
def test_a_name_is_isolated_and_cut(text: str, shown: str) -> None:
    assert str(wording.name(text)) == shown


def test_the_state_of_a_key_is_in_words() -> None:
    now = int(time.time())
    ends = {0: "active", now - 5: "expired", now + 3600: "expires soon", now + 10**7: "active"}
    for expires_at, words in ends.items():
        assert wording.key_state(replace(KEY, expires_at=expires_at)) == words


def test_numbers_and_states_are_in_words() -> None:
    assert [wording.count(number, "user") for number in (0, 1, 2000)] == [
        *("0 users", "1 user", "2,000 users"),
    ]
    assert wording.status(User("1", "a", "", False, {})) == ""
