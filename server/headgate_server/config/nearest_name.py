"""Finds the known name that a misspelt name most likely means. Pure functions."""

import difflib
from collections.abc import Iterable

_MIN_RATIO = (
    0.75  # difflib's ratio. "enabled" and "flux-enabled", which are different options, have 0.74
)
_MAX_SHORT_NAME_LETTERS = 5  # up to this length names may differ by one letter, longer ones by two


def suggestion(name: str, known: Iterable[str]) -> str:
    """Returns the end of an error message, which suggests names for the unknown *name*.

    The text has the name in *known* that is most similar to *name*. If no name is similar, the text
    has all names in *known*.
    """
    names = sorted(known)
    return did_you_mean(name, names) or f", expected one of {', '.join(names)}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns the end of an error message with the name in *known* that is most similar to *name*.

    Returns "" if no name is similar.
    """
    # Of names that are equally near, the first one: difflib prefers the last one.
    near = difflib.get_close_matches(name, sorted(known, reverse=True), 1)
    return f", did you mean {near[0]}?" if near else ""


def closest_name(name: str, known: Iterable[str]) -> str:
    """Returns the name among *known* that *name* probably misspells, or "" if no name is close.

    *name* may be in upper case and have `_` for `-`; this does not count as a difference.
    """
    folded = _folded(name)
    for one in sorted(known, key=lambda one: edit_distance(folded, one)):
        allowed = 1 if len(one) <= _MAX_SHORT_NAME_LETTERS else 2
        alike = difflib.SequenceMatcher(None, folded, one).ratio() >= _MIN_RATIO
        if edit_distance(folded, one) <= allowed and (alike or len(one) <= _MAX_SHORT_NAME_LETTERS):
            return one
    return ""


def edit_distance(one: str, other: str) -> int:
    """Returns the number of edits from *one* to *other* (optimal string alignment).

    An edit inserts, removes or replaces a letter, or swaps it with its neighbour.
    """
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
