"""Delays after failed logins: guesses wait, and users with the correct password do not."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate_engine import UNRESTRICTED, AuthenticationFailed, Engine, MemoryStore, Passwords
from headgate_server.auth.authenticator import Authenticator
from headgate_server.auth.credentials import RequestCredentials
from headgate_server.auth.errors import TooManyFailures
from headgate_server.auth.refusal_rate import RefusalRateLimiter
from headgate_server.auth.throttle import Throttle
from headgate_server.http.errors import Overloaded
from headgate_server.telemetry.metrics import Metrics
from support.servers import ROOT, Server

HERE, THERE = "192.0.2.1", "192.0.2.2"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def shown(url: dict[str, str]) -> RequestCredentials:
    return RequestCredentials(url, lambda name: [])


def wait(throttle: Throttle, name: str, address: str = HERE) -> int:
    """Starts a login that counts as failed. Returns the seconds to wait; 0 if it may proceed."""
    try:
        throttle.start_attempt(name, address)
    except TooManyFailures as error:
        return error.seconds
    return 0


def test_failures_are_free_at_first_and_then_double_the_wait_up_to_a_bound(clock: Clock) -> None:
    throttle = Throttle(free_per_user=3, free_per_address=1000, max_delay=10.0, clock=clock)
    waits = []
    for _ in range(14):
        waits.append(wait(throttle, "todd"))
        clock.now += waits[-1]
    assert waits == [0, 0, 0, 1, 0, 2, 0, 4, 0, 8, 0, 10, 0, 10]


def test_only_the_pair_of_user_and_address_waits(clock: Clock) -> None:
    throttle = Throttle(free_per_user=2, free_per_address=1000, clock=clock)
    for _ in range(5):
        wait(throttle, "todd")
    assert wait(throttle, "todd") > 0
    assert wait(throttle, "todd", THERE) == 0, "the real one comes from elsewhere"
    assert wait(throttle, "alice") == 0


def test_an_address_that_tries_many_users_waits_as_a_whole(clock: Clock) -> None:
    throttle = Throttle(free_per_user=5, free_per_address=20, clock=clock)
    let_through = sum(wait(throttle, f"user{i}") == 0 for i in range(100))
    assert let_through == 20
    assert wait(throttle, "anybody", THERE) == 0


def test_one_network_of_ipv6_is_one_address(clock: Clock) -> None:
    throttle = Throttle(free_per_user=1000, free_per_address=5, clock=clock)
    let_through = sum(wait(throttle, f"u{i}", f"2001:db8::{i:x}") == 0 for i in range(50))
    assert let_through == 5
    assert wait(throttle, "u", "2001:db8:0:1::1") == 0


def test_a_good_login_wipes_the_sheet_and_time_forgets(clock: Clock) -> None:
    throttle = Throttle(free_per_user=3, free_per_address=1000, clock=clock)
    for _ in range(10):
        for _ in range(2):
            assert wait(throttle, "todd") == 0
        assert wait(throttle, "todd") == 0
        throttle.complete_attempt("todd", HERE)
    for _ in range(4):
        wait(throttle, "todd")
    clock.now += 901
    assert [wait(throttle, "todd") for _ in range(3)] == [0, 0, 0]


def test_an_attempt_that_was_not_examined_does_not_count(clock: Clock) -> None:
    throttle = Throttle(free_per_user=2, free_per_address=2, clock=clock)
    for _ in range(50):
        assert wait(throttle, "todd") == 0
        throttle.cancel_attempt("todd", HERE)


def test_a_good_login_of_ones_own_does_not_buy_more_guesses(clock: Clock) -> None:
    throttle = Throttle(free_per_user=1000, free_per_address=5, clock=clock)
    throttle.start_attempt("mine", HERE)
    for number in range(20):
        wait(throttle, f"user{number}")
    throttle.complete_attempt("mine", HERE)
    assert wait(throttle, "user0") == 0, "the one that it was counted for"
    assert wait(throttle, "user1") > 0
    throttle.cancel_attempt("user0", HERE)
    throttle.complete_attempt("mine", HERE)


def test_it_can_be_turned_off(clock: Clock) -> None:
    throttle = Throttle(max_delay=0.0, clock=clock)
    assert not any(wait(throttle, "todd") for _ in range(1000))


@given(st.text(), st.text())
def test_no_name_and_no_address_is_a_fault(name: str, address: str) -> None:
    Throttle().start_attempt(name, address)


def login_of(engine: Engine, pair: int = 5, address: int = 20) -> Authenticator:
    # The clock stands still: on a busy machine, the delay of a throttled login could end meanwhile.
    throttle = Throttle(pair, address, clock=lambda: 100.0)
    return Authenticator(engine, Metrics(), throttle=throttle)


@pytest.mark.slow
def test_the_same_password_from_many_connections_at_once_costs_one_bcrypt() -> None:
    engine = Engine(MemoryStore(), Passwords(cost=4))
    engine.query("CREATE USER todd WITH PASSWORD 's3cret' WITH ALL PRIVILEGES", UNRESTRICTED)
    verified: list[str] = []
    real = engine.authenticate

    def counted(name: str, password: str) -> object:
        verified.append(password)
        return real(name, password)

    engine.authenticate = counted  # type: ignore[method-assign, assignment]
    login = login_of(engine, pair=1, address=2)

    async def scenario() -> None:
        right = [login(shown({"u": "todd", "p": "s3cret"}), HERE) for _ in range(300)]
        people = await asyncio.gather(*right)
        assert {person.name for person in people} == {"todd"} and len(verified) == 1
        wrong = [login(shown({"u": "todd", "p": "x"}), HERE) for _ in range(300)]
        found = await asyncio.gather(*wrong, return_exceptions=True)
        assert {type(error) for error in found} == {AuthenticationFailed}
        assert len(verified) == 2
        with pytest.raises(TooManyFailures):
            await login(shown({"u": "todd", "p": "y"}), HERE)
        assert (await login(shown({"u": "todd", "p": "s3cret"}), HERE)).name == "todd", "remembered"

    asyncio.run(scenario())
    login.close()


@pytest.mark.slow
def test_many_wrong_ones_at_once_are_not_all_looked_at() -> None:
    engine = Engine(MemoryStore(), Passwords(cost=4))
    engine.query("CREATE USER todd WITH PASSWORD 's3cret' WITH ALL PRIVILEGES", UNRESTRICTED)
    login = login_of(engine)

    async def scenario() -> None:
        guesses = [login(shown({"u": "todd", "p": f"guess{i}"}), HERE) for i in range(500)]
        found = await asyncio.gather(*guesses, return_exceptions=True)
        kinds = [type(error) for error in found]
        assert kinds.count(AuthenticationFailed) == 5
        assert kinds.count(TooManyFailures) == 495 and Overloaded not in kinds

    asyncio.run(scenario())
    login.close()


def test_a_flood_is_answered_at_its_own_pace() -> None:
    now = [100.0]
    pace = RefusalRateLimiter(rate=10, max_delay=2, clock=lambda: now[0])
    assert [round(pace.delay(), 3) for _ in range(4)] == [0, 0.1, 0.2, 0.3]
    now[0] += 0.35
    assert round(pace.delay(), 3) == 0.05
    assert max(pace.delay() for _ in range(1000)) == 2
    now[0] += 10
    assert pace.delay() == 0


def test_a_user_that_was_let_in_before_never_waits() -> None:
    engine = Engine(MemoryStore(), Passwords(cost=4))
    engine.query("CREATE USER todd WITH PASSWORD 's3cret' WITH ALL PRIVILEGES", UNRESTRICTED)
    login = login_of(engine)

    async def scenario() -> None:
        assert (await login(shown({"u": "todd", "p": "s3cret"}), HERE)).name == "todd"
        guesses = [login(shown({"u": "todd", "p": f"guess{i}"}), HERE) for i in range(50)]
        found = await asyncio.gather(*guesses, return_exceptions=True)
        assert isinstance(found[-1], TooManyFailures)
        assert (await login(shown({"u": "todd", "p": "s3cret"}), HERE)).name == "todd"
        with pytest.raises(TooManyFailures):
            await login(shown({"u": "todd", "p": "another"}), HERE)

    asyncio.run(scenario())
    login.close()


@pytest.mark.slow
@pytest.mark.parametrize("throttled", [401, 429])
def test_throttled_clients_get_the_status_that_is_set_and_writers_503(
    serve: Callable[..., Server], throttled: int
) -> None:
    """The default is 401, because clients that probe passwords treat other statuses as errors."""
    settings = {} if throttled == 401 else {"HEADGATE_AUTH_THROTTLE_STATUS": str(throttled)}
    server = serve(**settings).bootstrap("CREATE USER todd WITH PASSWORD 's3cret'")
    assert server.query("SHOW DATABASES", ("todd", "s3cret")).status == 200
    answers = [server.query("SHOW DATABASES", ("todd", f"guess-{i}")) for i in range(8)]
    assert [answer.status for answer in answers[:5]] == [401] * 5
    assert not any("Retry-After" in answer.headers for answer in answers[:5])
    assert answers[-1].status == throttled
    cases = (("/query?q=SHOW+USERS", None, throttled), ("/write?db=x", b"x", 503))
    for path, body, status in cases:
        method = "GET" if body is None else "POST"
        for number in range(3):
            server.request(method, path, body, None, ("todd", f"more-{number}"))
        answer = server.request(method, path, body, None, ("todd", "one-more"))
        assert answer.status == status and 1 <= int(answer.headers["Retry-After"]) <= 60
        text = answer.error.partition(", try again in ")[0]
        assert text == ("authorization failed" if status == 401 else "too many failed logins")
        assert ("WWW-Authenticate" in answer.headers) == (status == 401)
    assert server.query("SHOW DATABASES", ("todd", "s3cret")).status == 200
    assert server.query("SHOW DATABASES", ROOT).status == 200


def test_an_administrators_address_has_its_own_allowance(clock: Clock) -> None:
    throttle = Throttle(
        free_per_user=5, free_per_address=20, clock=clock, free_per_admin_address=100
    )
    assert sum(wait(throttle, f"a{i}") == 0 for i in range(200)) == 20
    throttle.record_admin(HERE)
    assert sum(wait(throttle, f"b{i}") == 0 for i in range(200)) == 80
    assert wait(throttle, "c", THERE) == 0
    assert sum(wait(throttle, "d", THERE) == 0 for _ in range(10)) == 5, "each user has its own"
    clock.now += 3601
    assert sum(wait(throttle, f"e{i}") == 0 for i in range(200)) == 20


@pytest.mark.slow
def test_new_passwords_of_many_users_are_tried_where_an_administrator_works(
    serve: Callable[..., Server],
) -> None:
    """Ansible's influxdb_user tries the new password, and sets it if the status is 401."""
    names = [f"u{i}" for i in range(30)]
    server = serve(HEADGATE_AUTH_BCRYPT_COST="4").bootstrap(
        "; ".join(f"CREATE USER {name} WITH PASSWORD 'old'" for name in names)
    )
    for password in ("new", "newer"):
        for name in names:
            assert server.query("SHOW DATABASES", (name, password)).status == 401
            server.query(f"SET PASSWORD FOR {name} = '{password}'")
        for name in names:
            assert server.query("SHOW DATABASES", (name, password)).status == 200


@pytest.mark.slow
def test_unknown_users_are_slowed_like_known_ones(serve: Callable[..., Server]) -> None:
    server = serve().bootstrap("CREATE USER todd WITH PASSWORD 's3cret'")

    def answers(name: str) -> list[tuple[int, str]]:
        found = [server.query("SHOW USERS", (name, f"guess-{i}")) for i in range(7)]
        return [(answer.status, answer.error) for answer in found]

    assert answers("todd") == answers("nobody")
