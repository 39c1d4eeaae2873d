"""JSON Web Key Sets from a URL: slow, dead, invalid, huge, rotating and redirecting servers."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from headgate_server.auth.errors import KeysUnavailable
from headgate_server.auth.jwt import jwks_client as fetched
from headgate_server.auth.jwt.jwks_client import JWKSClient
from headgate_server.config.jwt import JwtSettings
from support import made_tokens as made
from support.key_server import KeyServer, Said
from support.waiting import free_port, poll_until

T = TypeVar("T")
ONE = made.jwk(made.key("one"), kid="one")
TWO = made.jwk(made.key("two"), kid="two")


def keys(*entries: dict[str, str]) -> bytes:
    return json.dumps({"keys": list(entries)}).encode()


def odd(*members: dict[str, object]) -> bytes:
    """A valid key after keys with invalid members."""
    entries = [*(made.jwk(made.key("three")) | one for one in members), TWO]
    return json.dumps({"keys": entries}).encode()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def settings(url: str, **more: object) -> JwtSettings:
    return JwtSettings(jwk_set_url=url, allow_insecure_jwk_set_url=True, **more)  # type: ignore[arg-type]


def with_source(
    settings: JwtSettings, work: Callable[[JWKSClient], Awaitable[T]], clock: Clock | None = None
) -> T:
    async def run() -> T:
        source = JWKSClient(settings, clock or Clock())
        try:
            return await work(source)
        finally:
            await source.close()

    return asyncio.run(run())


async def kids(source: JWKSClient) -> list[str | None]:
    return [key.kid for key in await source.keys()]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (Said(200, keys(ONE)), ["one"]),
        (Said(200, keys({"kty": "RSA"}, {"kty": "?"}, TWO)), ["two"]),
        (
            Said(200, odd({"key_ops": 5}, {"alg": ["RS256"]}, {"use": 1}, {"kid": {}, "n": 1})),
            ["two"],
        ),
        (Said(500, keys(ONE)), None),
        (Said(404, b"{}"), None),
        (Said(302, b"", {"Location": "http://localhost:1/keys"}), None),
        (Said(200, b"<html>"), None),
        (Said(200, b"[]"), None),
        (Said(200, b'{"keys": []}'), None),
        (Said(200, b'{"error": "later"}'), None),
        (Said(200, keys(ONE).ljust(300_000)), None),
        (Said(200, b"[" * 100_000), None),
    ],
)
def test_only_a_whole_set_with_a_key_in_it_counts(said: Said, expected: list[str] | None) -> None:
    async def work(source: JWKSClient) -> list[str | None]:
        return await kids(source)

    with KeyServer([said]) as server:
        if expected is None:
            with pytest.raises(KeysUnavailable):
                with_source(settings(server.url), work)
        else:
            assert with_source(settings(server.url), work) == expected


def test_no_server_is_there() -> None:
    async def work(source: JWKSClient) -> None:
        for _ in range(20):
            with pytest.raises(KeysUnavailable):
                await source.keys()

    with_source(settings(f"http://localhost:{free_port()}/"), work)


def test_a_redirect_is_not_followed() -> None:
    async def work(source: JWKSClient) -> None:
        with pytest.raises(KeysUnavailable):
            await source.keys()

    with KeyServer([Said(200, keys(ONE))]) as elsewhere:
        with KeyServer([Said(307, b"", {"Location": elsewhere.url})]) as server:
            with_source(settings(server.url), work)
        assert elsewhere.asked == []


def test_a_rotated_key_is_found_by_its_kid_and_the_old_one_is_gone() -> None:
    clock = Clock()

    async def work(source: JWKSClient) -> None:
        assert await kids(source) == ["one"]
        assert [key.kid for key in await source.refresh()] == ["one"]  # fetched a moment ago
        clock.now += 11
        assert [key.kid for key in await source.refresh()] == ["two"]
        assert await kids(source) == ["two"]

    with KeyServer([Said(200, keys(ONE)), Said(200, keys(TWO))]) as server:
        with_source(settings(server.url), work, clock)
        assert len(server.asked) == 2


def test_a_flood_of_unknown_kids_asks_no_more_than_the_cooldown_allows() -> None:
    clock = Clock()

    async def work(source: JWKSClient) -> None:
        await source.keys()
        for _ in range(3):
            clock.now += 11
            await asyncio.gather(*(source.refresh() for _ in range(200)))

    with KeyServer([Said(200, keys(ONE))]) as server:
        with_source(settings(server.url), work, clock)
        assert len(server.asked) == 4


def test_while_the_server_is_dead_its_keys_stay_good_and_it_is_asked_less_and_less() -> None:
    clock = Clock()

    async def work(source: JWKSClient) -> None:
        assert await kids(source) == ["one"]
        for _ in range(120):
            clock.now += 60
            assert await kids(source) == ["one"]
        clock.now += 86_400
        with pytest.raises(KeysUnavailable):
            await source.keys()  # the cache is too old: an error of the server, not of the token

    with KeyServer([Said(200, keys(ONE)), Said(503)], stays=False) as server:
        with_source(settings(server.url, cache_ttl=60.0), work, clock)
        assert len(server.asked) <= 123


def test_failures_back_off() -> None:
    clock = Clock()

    async def work(source: JWKSClient) -> None:
        for _ in range(600):
            clock.now += 0.1
            with pytest.raises(KeysUnavailable):
                await source.keys()

    with KeyServer([Said(503)]) as server:
        with_source(settings(server.url), work, clock)
        assert len(server.asked) == 6  # at 0, 1, 3, 7, 15 and 31 s; the next is at 63 s


def test_a_key_server_that_hangs_delays_no_token_with_a_known_key() -> None:
    clock = Clock()

    async def work(source: JWKSClient) -> float:
        await source.keys()
        clock.now += 3599  # nearly expired: refreshed in the background
        began = time.monotonic()
        for _ in range(1000):
            assert await kids(source) == ["one"]
            await asyncio.sleep(0)
        seconds = time.monotonic() - began
        await asyncio.to_thread(
            poll_until, lambda: len(server.asked) == 2, "it was not asked ahead of time"
        )
        return seconds

    slow = Said(200, keys(ONE), seconds=3)
    with KeyServer([Said(200, keys(ONE)), slow]) as server:
        assert with_source(settings(server.url), work, clock) < 3


def test_new_keys_are_there_for_all_waiting_requests_at_once() -> None:
    async def work(source: JWKSClient) -> list[list[str | None]]:
        return await asyncio.gather(*(kids(source) for _ in range(100)))

    with KeyServer([Said(200, keys(ONE), seconds=0.2)]) as server:
        assert with_source(settings(server.url), work) == [["one"]] * 100
        assert len(server.asked) == 1


def test_while_a_server_hangs_for_good_only_the_first_wait_for_it() -> None:
    clock = Clock()

    async def work(source: JWKSClient) -> list[float]:
        await source.keys()
        took = []
        for ahead in (3600.0, 12.0, 12.0):
            clock.now += ahead
            began = time.monotonic()
            assert await kids(source) == ["one"]
            took.append(time.monotonic() - began)
            # As after the timeout of the request.
            if source._task is not None:
                source._task.cancel()
                await asyncio.sleep(0.01)
                source._failures += 1
        return took

    with KeyServer([Said(200, keys(ONE)), Said(200, keys(ONE), seconds=5)]) as server:
        first, *others = with_source(settings(server.url), work, clock)
    assert first > 1 > max(others)


def test_a_fault_of_our_own_backs_off_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(body: bytes) -> None:
        raise KeyError("never foreseen")

    monkeypatch.setattr(fetched, "from_jwks", broken)

    async def work(source: JWKSClient) -> None:
        for _ in range(20):
            with pytest.raises(KeysUnavailable):
                await source.keys()

    with KeyServer([Said(200, keys(ONE))]) as server:
        with_source(settings(server.url), work)
        assert len(server.asked) == 1


def test_what_takes_its_place_goes_on_with_its_keys_and_asks_anew() -> None:
    async def work(source: JWKSClient) -> None:
        await source.keys()
        other = JWKSClient(settings(server.url), Clock())
        other.adopt_cache(source)
        await source.retire()
        assert await kids(source) == ["one"]  # a request in progress keeps its keys
        assert await kids(other) == ["one"]
        assert other._task is not None
        await asyncio.wait([other._task])
        assert await kids(other) == ["two"]
        await other.close()

    with KeyServer([Said(200, keys(ONE)), Said(200, keys(TWO))]) as server:
        with_source(settings(server.url), work)
        assert len(server.asked) == 2


@pytest.mark.parametrize("stale", [0.0, 86_400.0])
def test_without_a_lifetime_each_verification_fetches_and_those_together_share_one(
    stale: float,
) -> None:
    clock = Clock()

    async def work(source: JWKSClient) -> list[list[str | None]]:
        found = [await kids(source), await kids(source)]
        clock.now += 1
        found += await asyncio.gather(*(kids(source) for _ in range(50)))
        return found

    said = [
        Said(200, keys(ONE), {"Cache-Control": "max-age=600"}),
        Said(200, keys(TWO)),
        Said(200, keys(ONE), seconds=0.2),
    ]
    with KeyServer(said) as server:
        unkept = settings(server.url, cache_ttl=0.0, min_cache_ttl=5.0, stale_if_error=stale)
        found = with_source(unkept, work, clock)
        assert found == [["one"], ["two"], *[["one"]] * 50]
        assert len(server.asked) == 3


def test_without_a_lifetime_a_key_that_is_gone_verifies_nothing_from_then_on() -> None:
    async def work(source: JWKSClient) -> list[list[str | None]]:
        return [await kids(source) for _ in range(3)]

    with KeyServer([Said(200, keys(ONE, TWO)), Said(200, keys(TWO)), Said(500)]) as server:
        found = with_source(settings(server.url, cache_ttl=0.0), work)
        # While the server fails, the last keys stay valid for `stale-if-error`.
        assert found == [["one", "two"], ["two"], ["two"]]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (["max-age=30"], 30),
        (["Max-Age=30"], 30),
        (["MAX-AGE=30, Public"], 30),
        (['public,\tmAx-aGe="30"\t, x'], 30),
        (["public", "MAX-AGE=30"], 30),
        (['private="a, max-age=30, b"'], 60),
        (['x="\\", max-age=30"'], 60),
        (["max-age=\u0663\u0660"], 60),
        (["max-age=30\xa0"], 60),
        (["max-age=-30"], 60),
        (["max-age =30"], 60),
        (["max-age=99999999999999999999"], 60),
        (["s-maxage=30"], 60),
        (["max-age=0"], 5),
        ([], 60),
    ],
)
def test_the_lifetime_is_max_age_whatever_its_letters_if_it_is_less(
    headers: list[str], seconds: float
) -> None:
    source = JWKSClient(settings("http://localhost/", cache_ttl=60.0), Clock())
    assert source._lifetime(",".join(headers)) == seconds


def test_each_line_of_cache_control_counts() -> None:
    clock = Clock()

    async def work(source: JWKSClient) -> None:
        await source.keys()
        clock.now += 31
        await source.keys()

    said = Said(200, keys(ONE), {"Cache-Control": "public", "cache-control": "Max-Age=30"})
    with KeyServer([said]) as server:
        with_source(settings(server.url), work, clock)
        assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("abc", "Bearer abc"),
        ("\t abc \r\n", "Bearer abc"),
        ("Bearer abc\n", "Bearer abc"),
        ("bearer abc", "bearer abc"),
    ],
)
def test_the_token_for_a_key_set_is_read_at_every_fetch(
    tmp_path: Path, text: str, sent: str
) -> None:
    file = tmp_path / "token"
    file.write_text("the-first")

    async def work(source: JWKSClient) -> None:
        await source.keys()
        file.write_text(text)
        await source.keys()

    with KeyServer([Said(200, keys(ONE))]) as server:
        more = {"cache_ttl": 0.0, "jwk_set_bearer_token_file": str(file)}
        with_source(settings(server.url, **more), work)
        assert [asked["authorization"] for asked in server.asked] == ["Bearer the-first", sent]


@pytest.mark.parametrize("text", ["", " \n", "two\nlines", "a\x1cb", "caf\u00e9"])
def test_a_token_that_cannot_be_sent_is_refused_at_the_start(tmp_path: Path, text: str) -> None:
    file = tmp_path / "token"
    file.write_text(text)
    with pytest.raises(ValueError, match="^jwk-set-bearer-token-file: "):
        JWKSClient(settings("http://localhost/", jwk_set_bearer_token_file=str(file)))


def test_a_url_without_tls_is_refused_with_the_option_that_allows_it() -> None:
    with pytest.raises(ValueError, match="allow-insecure-jwk-set-url = true") as error:
        JWKSClient(JwtSettings(jwk_set_url="http://idp/keys?s=Zk7"))
    assert "Zk7" not in str(error.value) and "https" in str(error.value)


@pytest.mark.parametrize(
    "url", ["https://user:Zk7@idp/keys", "file:///etc/passwd", "https://", "https://idp:x/"]
)
def test_a_url_that_cannot_be_is_named_without_what_stands_in_it(url: str) -> None:
    with pytest.raises(ValueError, match="jwk-set-url: ") as error:
        JWKSClient(JwtSettings(jwk_set_url=url))
    assert "Zk7" not in str(error.value) and "\n" not in str(error.value)
