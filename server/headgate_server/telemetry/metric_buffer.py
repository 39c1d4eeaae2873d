"""A buffer for metrics: collects the events of requests, and adds them to the metrics later.

The buffer saves time: a request makes half a dozen increments, and each increment of a counter in
prometheus_client takes a lock and several calls.
"""

from collections import deque

from prometheus_client import Counter

from headgate_server.telemetry.time_histogram import TimeHistogram, TimeSeries

# With more entries, the buffer calls `flush` itself.
_MAX_ENTRIES = 4096

Labels = tuple[str | int, ...]


class MetricGroup:
    """The series that one kind of event changes: counters with their labels, and *times*.

    Each event increments the counters, and adds its time to *times*, if there are any. Create each
    group once: the buffer compares groups by identity, not by content.
    """

    __slots__ = ("increments", "times")

    def __init__(self, *counters: tuple[Counter, Labels], times: TimeSeries | None = None) -> None:
        self.increments = [counter.labels(*labels).inc for counter, labels in counters]
        self.times = times


class MetricBuffer:
    """Buffers events until `flush`. Thread-safe."""

    def __init__(self) -> None:
        self._events: deque[tuple[MetricGroup, float]] = deque()
        self._single: dict[tuple[Counter, Labels], MetricGroup] = {}

    def increment(
        self,
        counter: Counter,
        labels: Labels,
        histogram: TimeHistogram | None = None,
        seconds: float = 0.0,
    ) -> None:
        """Increments *counter* with *labels* by one. Adds *seconds* to *histogram*, if given.

        The histogram's label is the first of *labels*. Each combination of labels stays in
        memory. The caller must limit their number: no label may be a text that clients choose
        freely.
        """
        pair = (counter, labels)
        group = self._single.get(pair)
        if group is None:
            times = histogram.series(str(labels[0])) if histogram is not None else None
            group = self._single[pair] = MetricGroup(pair, times=times)
        self.add(group, seconds)

    def add(self, group: MetricGroup, seconds: float = 0.0) -> None:
        """Counts an event of *group* that took *seconds*."""
        self._events.append((group, seconds))
        if len(self._events) > _MAX_ENTRIES:
            self.flush()

    def flush(self) -> None:
        """Adds the buffered events to the counters and histograms of prometheus_client."""
        times: dict[MetricGroup, list[float]] = {}
        for _ in range(len(self._events)):
            try:
                group, seconds = self._events.popleft()
            except IndexError:  # another thread has flushed the rest
                break
            times.setdefault(group, []).append(seconds)
        for group, each in times.items():
            for increment in group.increments:
                increment(len(each))
            if group.times is not None:
                group.times.add(each)
