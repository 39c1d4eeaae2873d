"""GenerationalCache: keeps the entries used last, and never more than its limit."""

from hypothesis import given
from hypothesis import strategies as st

from headgate_engine import GenerationalCache

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
        assert len(recent._new) + len(recent._old) <= most
    lately = list(dict.fromkeys(reversed(used)))[: most // 2]
    assert all(recent.get(number) == kept[number] for number in lately)


def test_it_forgets() -> None:
    recent: GenerationalCache[str, int] = GenerationalCache(4)
    recent.put("a", 1)
    recent.clear()
    assert recent.get("a") is None
