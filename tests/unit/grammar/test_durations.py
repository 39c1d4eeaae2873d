"""Durations of InfluxQL, such as `1h30m`: parsing and printing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate_grammar import go_duration
from headgate_grammar.text.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "nanoseconds", "printed"),
    [
        ("0s", 0, "0s"),
        ("1ns", 1, "1ns"),
        ("1500ns", 1500, "1500ns"),
        ("1u", 1000, "1u"),
        ("1µ", 1000, "1u"),
        ("10ms", 10_000_000, "10ms"),
        ("90s", 90_000_000_000, "1m30s"),
        ("1h", 3_600_000_000_000, "1h0m0s"),
        ("1d", 86_400_000_000_000, "24h0m0s"),
        ("1w", 604_800_000_000_000, "168h0m0s"),
        ("1h1500ms", 3_601_500_000_000, "3601500ms"),
    ],
)
def test_a_duration_is_read_as_influxql_and_printed_as_go(
    text: str, nanoseconds: int, printed: str
) -> None:
    assert parse_duration(text) == nanoseconds
    assert go_duration(nanoseconds) == printed


@pytest.mark.parametrize("text", ["", "1", f"{'9' * 5000}s", "x", "1x", "1h5", "h", "1.5h", "-1h"])
def test_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="invalid duration"):
        parse_duration(text)


@given(st.integers(0, 2**62))
def test_what_is_printed_can_be_read(nanoseconds: int) -> None:
    assert parse_duration(go_duration(nanoseconds)) == nanoseconds


def test_a_duration_beyond_292_years_is_refused() -> None:
    with pytest.raises(ValueError, match="overflowed duration 9999999999w"):
        parse_duration("9999999999w")
