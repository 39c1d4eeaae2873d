"""GenerationalCache: keeps the entries used last, for a limited time, and never too many."""

from hypothesis import given
from hypothesis import strategies as st

from headgate_grammar import GenerationalCache

numbers = st.integers(0, 30)


@given(st.integers(2, 12), st.lists(st.tuples(numbers, st.booleans())))
def test_it_holds_what_was_kept_last_and_never_too_much(
    most: int, steps: list[tuple[int, bool]]
) -> None:
    recent: GenerationalCache[int, str] = GenerationalCache(most)
    kept: dict[int, str] = {}
    used: list[int] = []
    for number, keep in steps:
        if keep:
            recent.put(number, str(number))
            kept[number] = str(number)
            used.append(number)
        elif recent.get(number) is not None:
            assert recent.get(number) == kept[number]
            used.append(number)
        assert len(recent) <= most
    lately = list(dict.fromkeys(reversed(used)))[: most // 2]
    assert all(recent.get(number) == kept[number] for number in lately)


@given(st.lists(st.tuples(numbers, st.sampled_from(["put", "get", "remove", "wait"])), max_size=60))
def test_an_entry_lives_as_long_as_it_may_after_its_last_put(steps: list[tuple[int, str]]) -> None:
    now = 0.0
    cache: GenerationalCache[int, float] = GenerationalCache(200, 3.0, lambda: now)
    stored: dict[int, float] = {}
    for number, step in steps:
        match step:
            case "put":
                cache.put(number, now)
                stored[number] = now
            case "remove":
                cache.remove(number)
                stored.pop(number, None)
            case "wait":
                now += 1.0
            case _:
                alive = number in stored and now - stored[number] < 3.0
                assert cache.get(number) == (stored[number] if alive else None)


def test_reading_an_entry_does_not_prolong_it() -> None:
    now = 0.0
    cache: GenerationalCache[str, int] = GenerationalCache(2, 10.0, lambda: now)
    cache.put("a", 1)
    for number in range(9):
        now += 1.0
        cache.put(str(number), number)
        assert cache.get("a") == 1  # it moves to the new generation
    now += 1.0
    assert cache.get("a") is None


def test_clear_removes_every_entry() -> None:
    recent: GenerationalCache[str, int] = GenerationalCache(4)
    recent.put("a", 1)
    recent.clear()
    assert recent.get("a") is None and len(recent) == 0
