"""TimeHistogram: the same text as prometheus_client's own histogram, for any times."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from headgate_server.telemetry.time_histogram import TimeHistogram

BUCKETS = (0.001, 0.01, 0.25, 1.0)
times = st.sampled_from([0.0, *BUCKETS, 7.0]) | st.floats(0, 100)


@given(st.dictionaries(st.sampled_from(["/query", "/write", 'a"b\\']), st.lists(times)))
def test_the_numbers_are_those_of_the_library(seen: dict[str, list[float]]) -> None:
    one, other = CollectorRegistry(), CollectorRegistry()
    ours = TimeHistogram("work_seconds", "Time of work.", "route", BUCKETS, one)
    theirs = Histogram("work_seconds", "Time of work.", ["route"], buckets=BUCKETS, registry=other)
    for route, each in seen.items():
        half = len(each) // 2
        ours.series(route).add(each[:half])
        ours.series(route).add(each[half:])
        child = theirs.labels(route)
        for one_time in each:
            child.observe(one_time)
    assert _values(one) == _values(other)


def _values(registry: CollectorRegistry) -> dict[str, float]:
    found = {}
    for line in generate_latest(registry).decode().splitlines():
        if not line.startswith("#"):
            name, _, number = line.rpartition(" ")
            found[name] = round(float(number), 6)
    return found
