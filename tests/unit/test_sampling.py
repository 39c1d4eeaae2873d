"""The cases that a short run of the tests chooses."""

import pytest

from support.sampling import indices


@pytest.mark.parametrize(
    ("length", "most", "expected"),
    [
        (0, 3, set()),
        (2, 3, {0, 1}),
        (3, 3, {0, 1, 2}),
        (4, 1, {0}),
        (9, 2, {0, 8}),
        (9, 3, {0, 4, 8}),
        (100, 4, {0, 33, 66, 99}),
    ],
)
def test_the_first_case_and_the_last_one_are_among_those_of_a_sample(
    length: int, most: int, expected: set[int]
) -> None:
    assert indices(length, most) == expected
