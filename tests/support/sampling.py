"""Chooses some cases of each table of a test."""

from collections import defaultdict

import pytest


def sample(items: list[pytest.Item], most: int) -> set[pytest.Item]:
    """Returns at most *most* cases of each test function in *items*.

    They are the first case, the last one, and others at equal distances between them: the same ones
    in each process and in each run.
    """
    tables: defaultdict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        tables[item.nodeid.partition("[")[0]].append(item)
    return {cases[index] for cases in tables.values() for index in indices(len(cases), most)}


def indices(length: int, most: int) -> set[int]:
    """Returns at most *most* indices of a list with *length* elements, at equal distances."""
    if length <= most:
        return set(range(length))
    if most == 1:
        return {0}
    return {round(step * (length - 1) / (most - 1)) for step in range(most)}
