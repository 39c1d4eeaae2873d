"""What is counted with each request, put down together some time later. Knows prometheus_client.

Its counters take a lock and several calls each, and a request has half a dozen of them.
"""

from bisect import bisect_left
from collections import Counter as Sums
from collections import deque
from collections.abc import Iterator
from typing import TypeVar

from prometheus_client import Counter, Histogram

T = TypeVar("T")

# So many wait at most, where nobody puts them down.
_MOST = 4096

Labels = tuple[str | int, ...]


class Events:
    """Things that are counted together: *pairs* of a counter and its labels. Made once, for each
    time they are looked at as this object, and not as what is in it.
    """

    __slots__ = ("pairs",)

    def __init__(self, *pairs: tuple[Counter, Labels]) -> None:
        self.pairs = pairs


class Tally:
    """Counts and times, until `flush`. May be used from several threads."""

    def __init__(self) -> None:
        self._counts: deque[Events] = deque()
        self._single: dict[tuple[Counter, Labels], Events] = {}
        self._times: deque[tuple[Histogram, Labels, float]] = deque()

    def count(self, events: Events) -> None:
        """One more of each of *events*."""
        self._counts.append(events)
        if len(self._counts) > _MOST:
            self.flush()

    def count_one(self, whole: Counter, labels: Labels) -> None:
        """One more of *whole* with *labels*: they are few, none is a client's choice."""
        pair = (whole, labels)
        events = self._single.get(pair)
        if events is None:
            events = self._single[pair] = Events(pair)
        self.count(events)

    def observe(self, whole: Histogram, labels: Labels, seconds: float) -> None:
        """Something of *whole* with *labels* took *seconds*."""
        self._times.append((whole, labels, seconds))
        if len(self._times) > _MOST:
            self.flush()

    def flush(self) -> None:
        """Puts down what there is."""
        for events, number in Sums(_taken(self._counts)).items():
            for whole, labels in events.pairs:
                whole.labels(*labels).inc(number)
        times: dict[tuple[Histogram, Labels], list[float]] = {}
        for histogram, labels, seconds in _taken(self._times):
            times.setdefault((histogram, labels), []).append(seconds)
        for (histogram, labels), together in times.items():
            _observe(histogram.labels(*labels), together)


def _taken(waiting: deque[T]) -> Iterator[T]:
    """All that is there now, each once whoever else takes some."""
    for _ in range(len(waiting)):
        try:
            yield waiting.popleft()
        except IndexError:
            return


def _observe(child: Histogram, times: list[float]) -> None:
    """What its `observe` does with each of *times*; it knows no way to take several."""
    child._sum.inc(sum(times))
    buckets = Sums(bisect_left(child._upper_bounds, seconds) for seconds in times)
    for index, number in buckets.items():
        child._buckets[index].inc(number)
