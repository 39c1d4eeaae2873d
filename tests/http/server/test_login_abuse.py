"""Logins by which one client could delay or lock out other clients."""

import asyncio
import time
from contextlib import suppress
from dataclasses import replace

import pytest

from headgate_engine import (
    UNRESTRICTED,
    AuthenticationFailed,
    Engine,
    MemoryStore,
    Passwords,
    Principal,
)
from headgate_grammar import ParseCache, ParseError, ParseLimits, parse
from headgate_server.auth.authenticator import Authenticator
from headgate_server.auth.credentials import RequestCredentials
from headgate_server.auth.errors import TooManyFailures
from headgate_server.auth.throttle import Throttle
from headgate_server.config.settings import Settings
from headgate_server.configured_engine import parse_limits
from headgate_server.http.client_network import network_of
from headgate_server.telemetry.metrics import Metrics
from support.servers import Server

BOUNDS = parse_limits(Settings())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "values", "error"),
    [
        ("SELECT x FROM m WHERE a=$s OR a=$s", {"s": "A" * 60_000}, "statement longer than"),
        ("SHOW GRANTS FOR $s;" * 11, {"s": {"identifier": "A" * 99_000}}, "parameters longer than"),
        ("SELECT x FROM m WHERE a=~/\\pL{100}/" + " OR a=~/\\pL{100}/" * 99, {}, "too many or too"),
        ("SELECT x FROM m WHERE " + " OR ".join(["a=~$r"] * 50),
         {"r": {"regex": "(\\pL{20}){9}"}}, "too many or too large regular expressions"),
    ],
)  # fmt: skip
def test_what_a_query_asks_for_is_measured_before_it_is_done(
    text: str, values: dict[str, object], error: str
) -> None:
    with pytest.raises(ParseError, match=error):
        parse(text, values, BOUNDS)


def test_a_number_of_any_length_is_no_fault() -> None:
    text = "SELECT x FROM m WHERE h =~ /a{%s}/" % ("1" * 5000)
    for bounds in (BOUNDS, ParseLimits()):
        with suppress(ParseError):
            assert parse(text, {}, bounds)


def test_what_dashboards_ask_is_far_from_it() -> None:
    hosts = "|".join(f"server-{number:04}" for number in range(1000))
    clauses = " OR ".join(f"host=~/^({hosts})$/" for _ in range(5))
    longer = replace(BOUNDS, statement_chars=1 << 20)
    assert parse(f"SELECT mean(x) FROM m WHERE {clauses}", {}, longer)
    assert parse("SELECT x FROM m WHERE h=~/^[0-9]{1,3}[.][0-9]{1,3}$/", {}, BOUNDS)


def test_a_client_cannot_name_a_charset_that_takes_an_hour(server: Server) -> None:
    server.bootstrap("CREATE USER todd WITH PASSWORD 's3cret'")
    name = b"q-" + b"a" * 40_000 + b"-" + b"ba" * 40_000
    body = b'--B\r\nContent-Disposition: form-data; name="q-"\r\n\r\n' + name + b"\r\n--B--\r\n"
    began = time.monotonic()
    kind = {"Content-Type": "multipart/form-data; boundary=B; charset=punycode"}
    answer = server.request("POST", "/query", body, kind, ("todd", "s3cret"))
    assert (answer.status, answer.error) == (400, 'missing required parameter "q"')
    assert time.monotonic() - began < 5
    plain = body.replace(b'"q-"', b'"q"').replace(name, b"SHOW DATABASES")
    assert server.request("POST", "/query", plain, kind, ("todd", "s3cret")).status == 200


@pytest.mark.parametrize("option", ["METRICS", "PING"])
def test_an_empty_store_shows_nothing_that_needs_a_login(serve: object, option: str) -> None:
    server: Server = serve(**{f"HEADGATE_HTTP_{option}_AUTH_ENABLED": "true"})  # type: ignore[operator]
    assert server.request("GET", "/metrics").status == 401


async def guessed(login: Authenticator, password: str, address: str) -> str:
    try:
        principal: Principal = await login(
            RequestCredentials({"u": "todd", "p": password}, lambda _: []), address
        )
    except AuthenticationFailed:
        return "wrong"
    except TooManyFailures:
        return "wait"
    return principal.name


def test_guesses_from_elsewhere_do_not_find_the_password_of_an_active_user() -> None:
    engine = Engine(MemoryStore(), Passwords(4), ParseCache())
    engine.query("CREATE USER todd WITH PASSWORD 's3cret'", UNRESTRICTED)
    login = Authenticator(engine, Metrics(), throttle=Throttle(3, 20, 60))
    here, elsewhere = "192.0.2.1", "198.51.100.7"

    async def work() -> None:
        assert await guessed(login, "s3cret", here) == "todd"
        assert [await guessed(login, f"x{n}", elsewhere) for n in range(3)] == ["wrong"] * 3
        assert await guessed(login, "s3cret", elsewhere) == "wait"
        assert await guessed(login, "s3cret", here) == "todd"
        engine.query("SET PASSWORD FOR todd = 'other'", UNRESTRICTED)
        assert [await guessed(login, f"x{n}", here) for n in range(3)] == ["wrong"] * 3
        assert await guessed(login, "other", here) == "wait"  # known only by the old password

    login._refusal_limiter.delay = lambda: 0.0  # type: ignore[method-assign]
    asyncio.run(work())
    login.close()


def test_counters_of_long_names_are_small_and_end_with_their_failures() -> None:
    now = [0.0]
    throttle = Throttle(5, 20, 60, lambda: now[0])
    for number in range(100):
        throttle.start_attempt("x" * 100_000 + str(number), "192.0.2.1")
        throttle.cancel_attempt("x" * 100_000 + str(number), "192.0.2.1")
    assert len(throttle._counters) == 0
    throttle.start_attempt("x" * 100_000, "192.0.2.1")
    assert all(len(name) <= 16 for name, _ in throttle._counters._new)
    for _ in range(5):
        throttle.start_attempt("y", "192.0.2.2")
    assert throttle.is_throttled("y", "192.0.2.2")
    now[0] += 1000
    assert not throttle.is_throttled("y", "192.0.2.2")


def test_an_ipv4_client_of_a_socket_for_both_is_himself() -> None:
    assert (network_of("::ffff:192.0.2.1"), network_of("2001:db8::1")) == (
        "192.0.2.1",
        "2001:db8::/64",
    )
