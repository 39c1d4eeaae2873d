"""Parses and prints durations as InfluxQL literals (`1d12h`) and in Go's format (`36h0m0s`).

A duration is a whole number of nanoseconds, as in InfluxDB.
"""

import re

MICROSECOND = 1_000
MILLISECOND = 1_000_000
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY

_UNITS = {
    "ns": 1,
    "u": MICROSECOND,
    "µ": MICROSECOND,
    "ms": MILLISECOND,
    "s": SECOND,
    "m": MINUTE,
    "h": HOUR,
    "d": DAY,
    "w": WEEK,
}
_UNITS_DESCENDING = (
    *(("w", WEEK), ("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND)),
    *(("ms", MILLISECOND), ("u", MICROSECOND)),
)
_PART = re.compile(r"([0-9]+)(ns|ms|[uµsmhdw])")
_MAX_NANOSECONDS = (1 << 63) - 1


def parse_duration(text: str) -> int:
    """Returns the duration *text*, an InfluxQL literal such as `1d12h`, in nanoseconds.

    Raises:
        ValueError: *text* is not a duration, or the duration exceeds a signed 64-bit integer.
    """
    total = end = 0
    last = ""
    while end < len(text):
        part = _PART.match(text, end)
        digits = part[1].lstrip("0") or "0" if part is not None else ""
        # The number of digits is checked first: Python's int() rejects thousands of digits.
        if part is None or len(digits) > 19 or int(digits) > _MAX_NANOSECONDS:
            raise ValueError("invalid duration")
        total += int(digits) * _UNITS[part[2]]
        last = digits + part[2]
        end = part.end()
    if end == 0:
        raise ValueError("invalid duration")
    if total > _MAX_NANOSECONDS:
        raise ValueError(f"overflowed duration {last}: choose a smaller duration or INF")
    return total


def format_duration(nanoseconds: int) -> str:
    """Returns *nanoseconds* as an InfluxQL literal in the largest exact unit, such as `90m`."""
    if nanoseconds == 0:
        return "0s"
    for name, unit in _UNITS_DESCENDING:
        if nanoseconds % unit == 0:
            return f"{nanoseconds // unit}{name}"
    return f"{nanoseconds}ns"


def go_duration(nanoseconds: int) -> str:
    """Returns *nanoseconds* in the format of Go's `Duration.String`, such as `168h0m0s`.

    A duration with a fraction of a second is returned as an InfluxQL literal, such as `1500ms`.
    InfluxQL cannot parse Go's format of such a duration, `1.5s`.
    """
    if nanoseconds == 0 or nanoseconds % SECOND:
        return format_duration(nanoseconds)
    minutes, seconds = divmod(nanoseconds // SECOND, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{seconds}s"
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
