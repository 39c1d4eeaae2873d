"""A buffer for metrics: collects the counts of requests, and adds them to the metrics later.

The buffer saves time: a request makes half a dozen increments, and each increment of a counter in
prometheus_client takes a lock and several calls.
"""

from collections import Counter as Sums
from collections import deque
from collections.abc import Iterator
from typing import TypeVar

from prometheus_client import Counter, Histogram

T = TypeVar("T")

# With more entries, the buffer calls `flush` itself.
_MAX_ENTRIES = 4096

Labels = tuple[str | int, ...]


class CounterGroup:
    """A group of counters that are incremented together: *pairs* of a counter and its labels.

    Create each group once: the buffer compares groups by identity, not by content.
    """

    __slots__ = ("pairs",)

    def __init__(self, *pairs: tuple[Counter, Labels]) -> None:
        self.pairs = pairs


class MetricBuffer:
    """Buffers counts and times until `flush`. Thread-safe."""

    def __init__(self) -> None:
        self._counts: deque[CounterGroup] = deque()
        self._single: dict[tuple[Counter, Labels], CounterGroup] = {}
        self._times: deque[tuple[Histogram, Labels, float]] = deque()

    def add(self, events: CounterGroup) -> None:
        """Increments each counter of the group *events* by one."""
        self._counts.append(events)
        if len(self._counts) > _MAX_ENTRIES:
            self.flush()

    def increment(self, counter: Counter, labels: Labels) -> None:
        """Increments *counter* with *labels* by one.

        Each combination of labels stays in memory. The caller must limit their number: no label may
        be a text that clients choose freely.
        """
        pair = (counter, labels)
        events = self._single.get(pair)
        if events is None:
            events = self._single[pair] = CounterGroup(pair)
        self.add(events)

    def observe(self, histogram: Histogram, labels: Labels, seconds: float) -> None:
        """Records *seconds* in *histogram* with *labels*."""
        self._times.append((histogram, labels, seconds))
        if len(self._times) > _MAX_ENTRIES:
            self.flush()

    def flush(self) -> None:
        """Adds the buffered values to the counters and histograms of prometheus_client."""
        for events, number in Sums(_drain(self._counts)).items():
            for counter, labels in events.pairs:
                counter.labels(*labels).inc(number)
        for histogram, labels, seconds in _drain(self._times):
            histogram.labels(*labels).observe(seconds)


def _drain(waiting: deque[T]) -> Iterator[T]:
    """Yields the items that are in *waiting* now, and removes them.

    If several threads drain *waiting*, only one thread yields each item.
    """
    for _ in range(len(waiting)):
        try:
            yield waiting.popleft()
        except IndexError:
            return
