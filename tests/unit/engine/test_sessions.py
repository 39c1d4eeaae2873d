"""Sessions: when they end, when their token is replaced, and what an old token means."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate_engine import (
    UNRESTRICTED,
    AuthenticationFailed,
    Engine,
    MemoryStore,
    Passwords,
    Session,
    SessionLimits,
    SessionNotFound,
    SessionRejected,
    SessionReused,
    Sessions,
    ShownSession,
    Store,
    User,
    UserStatus,
)

LIMITS = SessionLimits(inactive=3600, lifetime=86_400, interval=600)


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Browser:
    """A client with one cookie: shows its token, and takes the new one from the response."""

    sessions: Sessions
    token: str
    loses_responses: bool = False
    tokens: list[str] = field(default_factory=list)

    def request(self, token: str = "") -> ShownSession:
        sessions, shown_token = self.sessions, token or self.token
        shown = sessions.authenticate(shown_token)
        if shown.rotates:
            new = sessions.rotate(shown, address="::1", agent="Firefox")
            if new and not self.loses_responses:
                self.tokens.append(self.token)
                self.token = new
        elif shown.seen is not None:
            store = sessions._store
            store.upkeep(lambda tx: sessions.record_seen(tx, shown))
        return shown


@dataclass
class Fixture:
    engine: Engine
    clock: Clock

    def user(self, name: str = "todd") -> User:
        user = self.engine.user(name)
        assert user is not None
        return user

    def browser(self, name: str = "todd", *, replaces: str = "") -> Browser:
        sessions = self.engine.sessions
        return Browser(
            sessions, sessions.begin(self.user(name), "password", replaces=[replaces])[1]
        )

    def code(self, token: str) -> str:
        try:
            self.engine.sessions.authenticate(token)
        except SessionRejected as error:
            return error.code
        return "good"

    def only(self) -> Session:
        (session,) = self.engine.store.sessions()
        return session


def made(store: Store, limits: SessionLimits = LIMITS) -> Fixture:
    clock = Clock()
    engine = Engine(store, Passwords(4), session_limits=limits, clock=clock)
    engine.create_user("root", "Toor-1", admin=True)
    engine.create_user("todd", "s3cret")
    return Fixture(engine, clock)


@pytest.fixture
def fixture(store: Store) -> Fixture:
    return made(store)


def test_a_session_stands_for_its_user_with_their_rights_now(fixture: Fixture) -> None:
    engine, browser = fixture.engine, fixture.browser()
    engine.create_database("shop")
    engine.grant_admin("todd")
    principal = browser.request().principal
    assert (principal.name, principal.method) == ("todd", "session")
    assert principal.has_full_access
    engine.revoke_admin("todd")
    assert not engine.renew(principal).has_full_access


@pytest.mark.parametrize(
    ("limits", "seconds", "code"),
    [
        (LIMITS, 3599, "good"),
        (LIMITS, 3600, "expired"),
        (SessionLimits(inactive=3600, lifetime=60), 59, "good"),
        (SessionLimits(inactive=3600, lifetime=60), 60, "expired"),
        (SessionLimits(inactive=3600, lifetime=0), 3599, "good"),
    ],
)
def test_a_session_ends_exactly_at_its_limits(
    store: Store, limits: SessionLimits, seconds: int, code: str
) -> None:
    fixture = made(store, limits)
    token = fixture.browser().token
    fixture.clock.now += seconds
    assert fixture.code(token) == code


def test_a_session_that_is_used_lasts_until_its_lifetime(fixture: Fixture) -> None:
    browser, began = fixture.browser(), fixture.clock.now
    while fixture.clock.now < began + 86_000:
        browser.request()
        fixture.clock.now += 3000
    fixture.clock.now = began + 86_399
    browser.request()
    fixture.clock.now += 1
    assert fixture.code(browser.token) == "expired"
    assert len(browser.tokens) >= 28


def test_a_session_may_end_with_the_login_that_it_was_made_from(fixture: Fixture) -> None:
    session, token = fixture.engine.sessions.begin(fixture.user(), "jwt", ends_at=1100)
    assert session.cookie_ends(LIMITS) == 1100
    fixture.clock.now = 1099
    assert fixture.code(token) == "good"
    fixture.clock.now = 1100
    assert fixture.code(token) == "expired"


def test_the_token_is_replaced_after_the_interval_and_the_previous_one_is_good_for_a_while(
    fixture: Fixture,
) -> None:
    browser = fixture.browser()
    assert not browser.request().rotates
    fixture.clock.now += 600
    assert not browser.request().rotates
    fixture.clock.now += 1
    assert browser.request().rotates
    first, second = browser.tokens[0], browser.token
    assert [fixture.code(token) for token in (first, second)] == ["good", "good"]
    browser.request()  # confirms the second token
    fixture.clock.now += 60
    assert fixture.code(first) == "good"
    fixture.clock.now += 1
    with pytest.raises(SessionReused) as reused:
        fixture.engine.sessions.authenticate(first)
    fixture.engine.sessions.revoke_reused(reused.value.session)
    assert fixture.code(second) == "revoked"
    assert fixture.only().reason == "reuse"
    assert fixture.engine.store.audit()[-1].statement.endswith("of todd revoked (reuse)")


def test_lost_responses_sign_no_user_out(fixture: Fixture) -> None:
    browser = fixture.browser()
    browser.request()
    browser.loses_responses = True
    for _ in range(5):
        fixture.clock.now += 601
        assert browser.request().rotates
    browser.loses_responses = False
    fixture.clock.now += 61
    assert browser.request().rotates and browser.tokens
    browser.request()


def test_simultaneous_requests_get_one_new_token(fixture: Fixture) -> None:
    browser, sessions = fixture.browser(), fixture.engine.sessions
    browser.request()
    fixture.clock.now += 601
    shown = [sessions.authenticate(browser.token) for _ in range(20)]
    assert all(one.rotates for one in shown)
    new = [sessions.rotate(one, address="", agent="") for one in shown]
    assert [bool(token) for token in new] == [True] + [False] * 19
    assert fixture.code(browser.token) == fixture.code(new[0]) == "good"


def test_a_rotation_on_request_leaves_the_former_token_as_the_previous_one(
    fixture: Fixture,
) -> None:
    sessions, browser = fixture.engine.sessions, fixture.browser()
    assert sessions.rotate_now(fixture.only(), address="", agent="") == ""
    fixture.clock.now += 5
    second = sessions.rotate_now(fixture.only(), address="", agent="")
    fixture.clock.now += 5
    third = sessions.rotate_now(fixture.only(), address="", agent="")
    assert second and third
    assert [fixture.code(token) for token in (browser.token, second, third)] == [
        *("invalid", "good", "good")
    ]


def test_a_sign_in_replaces_the_session_of_the_browser(fixture: Fixture) -> None:
    first = fixture.browser()
    second = fixture.browser(replaces=first.token)
    other = fixture.browser("root", replaces=second.token)
    assert fixture.code(first.token) == "invalid"
    # A session of another user is left: the token proves nothing about this user.
    assert [fixture.code(it.token) for it in (second, other)] == ["good", "good"]


def test_sessions_above_the_number_of_a_user_are_revoked(store: Store) -> None:
    fixture = made(store, SessionLimits(max_per_user=2))
    tokens = [fixture.browser().token for _ in range(4)]
    assert [fixture.code(token) for token in tokens] == ["revoked", "revoked", "good", "good"]
    assert {one.reason for one in store.sessions() if one.revoked_at} == {"limit"}


@pytest.mark.parametrize("step", ["password", "disable", "drop", "again"])
def test_sessions_end_with_what_they_rest_on(fixture: Fixture, step: str) -> None:
    engine, browser = fixture.engine, fixture.browser()
    principal = browser.request().principal
    match step:
        case "password":
            engine.set_password("todd", "other")
        case "disable":
            engine.accounts.set_status(UNRESTRICTED, fixture.user(), UserStatus.DISABLED)
        case _:
            engine.drop_user("todd")
    if step == "again":
        engine.create_user("todd", "s3cret")
    expected = "invalid" if step in ("drop", "again") else "revoked"
    assert fixture.code(browser.token) == expected
    with pytest.raises(AuthenticationFailed):
        engine.renew(principal)
    if step == "disable":
        engine.accounts.set_status(UNRESTRICTED, fixture.user(), UserStatus.ACTIVE)
        assert fixture.code(browser.token) == "revoked"


def test_the_session_that_changes_the_password_stays(fixture: Fixture) -> None:
    engine, here, there = fixture.engine, fixture.browser(), fixture.browser()
    engine.change_password(here.request().principal, "n3w-secret")
    assert [fixture.code(it.token) for it in (here, there)] == ["good", "revoked"]


def test_no_session_begins_with_a_password_that_was_changed_meanwhile(fixture: Fixture) -> None:
    user = fixture.user()
    fixture.engine.set_password("todd", "other")
    with pytest.raises(AuthenticationFailed):
        fixture.engine.sessions.begin(user, "password")


def test_sessions_are_revoked_one_by_one_and_all(fixture: Fixture) -> None:
    sessions, user = fixture.engine.sessions, fixture.user()
    browsers = [fixture.browser() for _ in range(4)]
    first, second, third, _ = sessions.active(user)
    sessions.revoke(UNRESTRICTED, user, first.id, "user")
    for id in (first.id, "999", "x"):
        with pytest.raises(SessionNotFound):
            sessions.revoke(UNRESTRICTED, user, id, "user")
    with pytest.raises(SessionNotFound):
        sessions.revoke(UNRESTRICTED, fixture.user("root"), second.id, "admin")
    assert sessions.revoke_all(UNRESTRICTED, [user], "user", keep=third.id) == 2
    assert [it.id for it in sessions.active()] == [third.id]
    assert [fixture.code(it.token) for it in browsers] == ["revoked", "revoked", "good", "revoked"]
    sessions.end(browsers[2].request().principal)
    assert fixture.code(browsers[2].token) == "invalid"


def test_ended_sessions_are_pruned(fixture: Fixture) -> None:
    sessions = fixture.engine.sessions
    fixture.browser()
    fixture.clock.now += 3000
    fixture.browser()
    fixture.browser()
    sessions.revoke(UNRESTRICTED, fixture.user(), sessions.active()[-1].id, "user")
    fixture.clock.now += 600
    found = sessions.prune()
    assert (found.expired, found.revoked, found.remaining_revoked) == (1, 0, 1)
    found = sessions.prune(600)
    assert (found.expired, found.revoked, found.remaining_revoked) == (0, 1, 0)
    assert len(fixture.engine.store.sessions()) == 1


@pytest.mark.parametrize("token", ["", "x", "a" * 129, "\ud800", "\0"])
def test_a_text_that_is_no_token_is_invalid(fixture: Fixture, token: str) -> None:
    assert fixture.code(token) == "invalid"


@pytest.mark.slow
@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 900), st.booleans(), st.booleans()), max_size=60))
def test_a_client_that_loses_responses_stays_signed_in(
    steps: list[tuple[int, bool, bool]],
) -> None:
    """Each step: seconds that pass, whether the response is lost, whether an old tab asks, too."""
    fixture = made(MemoryStore(), SessionLimits(inactive=3600, lifetime=0))
    browser = fixture.browser()
    for seconds, lost, tab in steps:
        fixture.clock.now += seconds
        browser.loses_responses = lost
        old = browser.token
        browser.request()
        if tab:
            browser.request(old)  # at the same moment
    browser.request()
