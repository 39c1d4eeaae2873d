"""Delays of logins on several machines: a limit that is crossed on one holds on the others, too."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from headgate_engine import LoginDelays, StoreUnavailable
from headgate_engine.stores.shared.log import decoded_delay
from headgate_engine.stores.shared.memory_log import MemoryLog, MemoryLogData
from headgate_engine.stores.shared.store import SharedStore, create_store
from headgate_server.auth.errors import TooManyFailures
from headgate_server.auth.throttle import Throttle
from support.waiting import poll_until

HERE, THERE = "192.0.2.1", "192.0.2.2"


def fail(throttle: Throttle, name: str, address: str = HERE) -> None:
    throttle.start_attempt(name, address)
    throttle.fail_attempt(name, address)


@pytest.fixture
def throttles() -> Iterator[tuple[Throttle, Throttle]]:
    """The throttles of two servers with one store."""
    data = MemoryLogData()
    assert create_store(MemoryLog(data))
    with ExitStack() as stack:
        stores = [stack.enter_context(closing(SharedStore(MemoryLog(data)))) for _ in range(2)]
        first, second = (
            Throttle(3, 5, delays=store.login_delays(), free_per_admin_address=1000)
            for store in stores
        )

        def is_followed() -> bool:
            """Whether the second server receives delays: its thread may have just begun."""
            stores[0].login_delays().publish("marker", 60.0)
            return stores[1].login_delays().seconds_left("marker") > 0

        poll_until(is_followed, "no delay arrives")
        yield first, second


def test_a_delay_of_one_server_holds_on_the_other(throttles: tuple[Throttle, Throttle]) -> None:
    first, second = throttles
    for _ in range(3):
        fail(first, "todd")
    poll_until(lambda: second.is_throttled("todd", HERE), "the delay does not arrive")
    with pytest.raises(TooManyFailures):
        second.start_attempt("todd", HERE)
    assert not second.is_throttled("todd", THERE)
    assert not second.is_throttled("ann", HERE)


def test_an_address_with_many_failures_waits_on_the_other_server(
    throttles: tuple[Throttle, Throttle],
) -> None:
    first, second = throttles
    for number in range(5):
        fail(first, f"user{number}")
    poll_until(lambda: second.is_throttled("ann", HERE), "the delay does not arrive")
    second.record_admin(HERE)
    assert not second.is_throttled("ann", HERE), "an administrator works there"


def test_an_attempt_that_is_not_a_failure_is_told_to_no_server(
    throttles: tuple[Throttle, Throttle],
) -> None:
    first, second = throttles
    for _ in range(10):
        first.start_attempt("ann", HERE)
        first.complete_attempt("ann", HERE)
    for _ in range(10):
        first.start_attempt("bob", HERE)
        first.cancel_attempt("bob", HERE)
    for _ in range(3):
        fail(first, "todd")
    poll_until(lambda: second.is_throttled("todd", HERE), "the delay does not arrive")
    assert not second.is_throttled("ann", HERE)
    assert not second.is_throttled("bob", HERE)


def test_a_store_that_is_away_delays_and_refuses_no_login() -> None:
    failed = threading.Event()

    def send(name: str, seconds: float) -> None:
        raise StoreUnavailable("away")

    def follow() -> Iterator[tuple[str, float]]:
        failed.set()
        raise StoreUnavailable("away")

    delays = LoginDelays(send, follow)
    delays.start()
    throttle = Throttle(3, 20, delays=delays)
    for _ in range(3):
        fail(throttle, "todd")
    assert throttle.is_throttled("todd", HERE), "the server itself knows the delay"
    assert failed.wait(20)
    assert not Throttle(3, 20, delays=delays).is_throttled("todd", HERE)
    delays.close()


def test_a_delay_ends_and_the_longest_one_counts() -> None:
    now = [100.0]
    arrived = threading.Event()

    def follow() -> Iterator[tuple[str, float]]:
        yield from (("a", 10.0), ("a", 4.0))
        arrived.set()
        raise StoreUnavailable("away")

    delays = LoginDelays(lambda name, seconds: None, follow, lambda: now[0])
    delays.start()
    assert arrived.wait(20)
    assert delays.seconds_left("a") == 10.0
    now[0] += 9
    assert delays.seconds_left("a") == 1.0
    now[0] += 2
    assert delays.seconds_left("a") == delays.seconds_left("b") == 0.0
    delays.close()


def test_a_flood_of_delays_waits_for_nothing() -> None:
    delays = LoginDelays(lambda name, seconds: None, lambda: iter(()))
    for number in range(5000):  # no thread takes them
        delays.publish(str(number), 1.0)


def test_the_name_of_a_delay_shows_neither_user_nor_address() -> None:
    data = MemoryLogData()
    assert create_store(MemoryLog(data))
    with closing(SharedStore(MemoryLog(data))) as store:
        throttle = Throttle(1, 20, delays=store.login_delays())
        fail(throttle, "todd")
        poll_until(lambda: bool(data.delays), "no delay is published")
        ((name, seconds),) = data.delays
        epoch, _, digest = name.partition("/")
        assert epoch == store.follower.head().epoch
    assert 0 < seconds <= 1
    assert int(digest, 16)
    assert len(digest) == 32


def test_a_delay_of_another_store_in_the_same_log_delays_none() -> None:
    data = MemoryLogData()
    assert create_store(MemoryLog(data))
    log = MemoryLog(data)
    with closing(SharedStore(log)) as store:
        delays = store.login_delays()

        def arrives() -> bool:
            log.publish_delay("another/todd", 60.0)
            log.publish_delay("todd", 60.0)
            delays.publish("ann", 60.0)
            return delays.seconds_left("ann") > 0

        poll_until(arrives, "no delay arrives")
        assert delays.seconds_left("todd") == 0


@pytest.mark.parametrize(
    ("text", "delay"),
    [
        ("ab 1.5", ("ab", 1.5)),
        ("ab 1e9", ("ab", 3600.0)),
        ("ab nan", None),
        ("ab -1", None),
        ("ab 0", None),
        ("ab", None),
        ("", None),
        ("ab x", None),
    ],
)
def test_a_text_of_another_program_is_no_delay(text: str, delay: tuple[str, float] | None) -> None:
    assert decoded_delay(text) == delay
