"""Delays of logins on several machines: a limit that is crossed on one holds on the others, too."""

import queue
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from headgate_engine import LoginDelays, StoreUnavailable
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

    def send(message: str, seconds: float) -> None:
        raise StoreUnavailable("away")

    def follow() -> Iterator[str]:
        failed.set()
        raise StoreUnavailable("away")

    delays = LoginDelays(send, follow, lambda: "secret")
    delays.start()
    throttle = Throttle(3, 20, delays=delays)
    for _ in range(3):
        fail(throttle, "todd")
    assert throttle.is_throttled("todd", HERE), "the server itself knows the delay"
    assert failed.wait(20)
    assert not Throttle(3, 20, delays=delays).is_throttled("todd", HERE)
    delays.close()


class Line:
    """What several `LoginDelays` of one store send and receive, with a clock of its own."""

    def __init__(self) -> None:
        self.now, self.sent, self.is_away = 1000.0, list[str](), False
        self.arrived = queue.SimpleQueue[str]()

    def delays(self, secret: str = "secret") -> LoginDelays:
        """Returns a receiver; each test has one at a time."""
        return LoginDelays(self.send, self.follow, lambda: secret, lambda: self.now)

    def sender(self) -> LoginDelays:
        return LoginDelays(self.send, lambda: iter(()), lambda: "secret", lambda: self.now)

    def send(self, message: str, seconds: float) -> None:
        if self.is_away:
            raise StoreUnavailable("away")
        self.sent.append(message)

    def follow(self) -> Iterator[str]:
        while (message := self.arrived.get()) != "end":
            yield message
        raise StoreUnavailable("away")

    def receive(self, delays: LoginDelays, *messages: str) -> None:
        """Gives *messages* to *delays*, and returns when they were read."""
        for message in (*messages, "end"):
            self.arrived.put(message)
        poll_until(self.arrived.empty, "they are not read")


@pytest.fixture
def line() -> Line:
    return Line()


def sent(line: Line, *published: tuple[str, float]) -> list[str]:
    """Returns the messages for *published* names and seconds."""
    delays, before = line.sender(), len(line.sent)
    delays.start()
    for name, seconds in published:
        delays.publish(name, seconds)
    poll_until(lambda: len(line.sent) >= before + len(published), "nothing is sent")
    delays.close()
    return line.sent[before:]


def test_a_delay_ends_at_a_time_and_the_longest_one_counts(line: Line) -> None:
    (short,), (long,) = sent(line, ("a", 4.0)), sent(line, ("a", 10.0))
    delays = line.delays()
    delays.start()
    line.receive(delays, long, short, long)
    poll_until(lambda: delays.seconds_left("a") == 10.0, "the longest one does not count")
    line.now += 9
    assert delays.seconds_left("a") == 1.0
    line.receive(delays, short)  # sent again later, it ends at the same time
    line.now += 2
    assert delays.seconds_left("a") == delays.seconds_left("b") == 0.0
    delays.close()


def test_only_a_server_of_the_store_can_make_a_delay(line: Line) -> None:
    (message,) = sent(line, ("todd", 60.0))
    name, until, mac = message.split(" ")
    forged = [
        f"{name} {float(until) + 1:.3f} {mac}",
        f"{name} inf {mac}",
        f"{'0' * 32} {until} {mac}",
        *("", " ", "a", "a b", "a b c", f"{name} {until}", f"{message} ", "\u00e9 1 \u00e9"),
    ]
    delays = line.delays()
    delays.start()
    line.receive(delays, *forged)
    assert delays.seconds_left("todd") == 0.0
    line.receive(delays, message)
    poll_until(lambda: delays.seconds_left("todd") == 60.0, "the true one does not count")
    delays.close()
    other = line.delays("another store")
    other.start()
    line.receive(other, message)
    assert other.seconds_left("todd") == 0.0
    other.close()


def test_a_delay_that_has_ended_is_not_sent_and_the_newest_are_sent_first(line: Line) -> None:
    line.is_away = True
    delays = line.sender()
    delays.publish("old", 2.0)
    for number in range(1500):
        delays.publish(f"junk{number}", 60.0)
    delays.publish("victim", 60.0)
    line.now += 3
    line.is_away = False
    delays.start()
    poll_until(lambda: bool(line.sent), "nothing is sent")
    delays.close()
    receiver = line.delays()
    receiver.start()
    line.receive(receiver, line.sent[0])
    poll_until(lambda: receiver.seconds_left("victim") > 0, "the newest is not sent first")
    receiver.close()


def test_a_delay_of_another_server_is_no_longer_than_the_own_longest_one(line: Line) -> None:
    throttle = Throttle(1, 20, 60.0, delays=(delays := line.delays()))
    published: list[str] = []
    delays.publish = lambda name, seconds: published.append(name)  # type: ignore[method-assign]
    fail(throttle, "todd")
    (message,) = sent(line, (published[0], 3600.0))
    delays.start()
    line.receive(delays, message)
    poll_until(lambda: delays.seconds_left(published[0]) > 100, "it does not arrive")
    fresh = Throttle(5, 20, 10.0, delays=delays)
    assert wait_of(fresh, "todd") == 10
    assert wait_of(Throttle(5, 20, 0.0, delays=delays), "todd") == 0
    delays.close()


def wait_of(throttle: Throttle, name: str) -> int:
    try:
        throttle.start_attempt(name, HERE)
    except TooManyFailures as error:
        return error.seconds
    return 0


def test_a_message_shows_neither_user_nor_address_nor_the_secret() -> None:
    data = MemoryLogData()
    assert create_store(MemoryLog(data))
    with closing(SharedStore(MemoryLog(data))) as store:
        throttle = Throttle(1, 20, delays=store.login_delays())
        fail(throttle, "todd")
        poll_until(lambda: bool(data.delays), "no delay is published")
        (message,) = data.delays
        assert store.follower.head().epoch not in message
    name, _, mac = message.split(" ")
    assert int(name, 16) and int(mac, 16)
    assert "todd" not in message and HERE not in message
