"""Misspelt names: which known name a text most likely means. Pure functions."""

import difflib
from collections.abc import Iterable

_ALIKE = 0.75  # by difflib; "enabled" and "flux-enabled" are 0.74
_SHORT = 5  # such names and shorter ones differ by one letter at most


def nearest(name: str, known: Iterable[str]) -> str:
    """A suggestion, or all names that there are, as the end of a sentence."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, 1)
    return f", did you mean {near[0]}?" if near else f", expected one of {', '.join(names)}"


def similar(name: str, known: Iterable[str]) -> str:
    """The known name that *name* resembles so much that it is a misspelling; "" if there is none.

    Upper and lower case, and `_` and `-`, are the same here.
    """
    folded = _folded(name)
    for one in sorted(known, key=lambda one: distance(folded, one)):
        allowed = 1 if len(one) <= _SHORT else 2
        alike = difflib.SequenceMatcher(None, folded, one).ratio() >= _ALIKE
        if distance(folded, one) <= allowed and (alike or len(one) <= _SHORT):
            return one
    return ""


def distance(one: str, other: str) -> int:
    """How many letters have to be inserted, removed, replaced or swapped with their neighbour."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        last, before, row = before, row, [i]
        for j, wanted in enumerate(other, 1):
            cost = min(row[j - 1] + 1, before[j] + 1, before[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]


def _folded(name: str) -> str:
    return name.lower().replace("_", "-")
