"""Histograms of times, in the format of prometheus_client, that take many times at once."""

import math
from bisect import bisect_left
from collections import Counter as Numbers
from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString
from prometheus_client.values import ValueClass

_KIND = "histogram"


class TimeHistogram(Collector):
    """A histogram of times in seconds, with one label. *buckets* are the upper bounds.

    `prometheus_client.Histogram` takes one time after the other, which costs a request as much as
    its log line. Several workers share the numbers as all metrics of that library do.
    """

    def __init__(
        self,
        name: str,
        documentation: str,
        label: str,
        buckets: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        self.name, self.documentation, self.label = name, documentation, label
        self.bounds = (*buckets, math.inf)
        self._series: dict[str, TimeSeries] = {}
        registry.register(self)

    def series(self, value: str) -> "TimeSeries":
        """Returns the times with *value* as the label. Each value stays in memory."""
        found = self._series.get(value)
        if found is None:
            found = self._series[value] = TimeSeries(self, value)
        return found

    def collect(self) -> Iterable[Metric]:
        """Returns the numbers of this process."""
        family = HistogramMetricFamily(self.name, self.documentation, labels=[self.label])
        for value, series in list(self._series.items()):
            family.add_metric([value], series.cumulated(), series.total())
        return [family]


class TimeSeries:
    """The times of one label's value. Thread-safe."""

    def __init__(self, histogram: TimeHistogram, value: str) -> None:
        name, text = histogram.name, histogram.documentation
        labels = (histogram.label,)
        self._bounds = histogram.bounds
        self._names = [floatToGoString(bound) for bound in self._bounds]  # type: ignore[no-untyped-call]
        self._sum = ValueClass(_KIND, name, f"{name}_sum", labels, (value,), text)
        self._buckets = [
            ValueClass(_KIND, name, f"{name}_bucket", (*labels, "le"), (value, bound), text)
            for bound in self._names
        ]

    def add(self, times: Sequence[float]) -> None:
        """Adds *times*, in seconds."""
        self._sum.inc(sum(times))
        for place, number in Numbers([bisect_left(self._bounds, one) for one in times]).items():
            self._buckets[place].inc(number)

    def cumulated(self) -> list[tuple[str, float]]:
        """Returns for each bound, by its name, the number of times up to this bound."""
        found, number = [], 0.0
        for name, bucket in zip(self._names, self._buckets, strict=True):
            number += bucket.get()
            found.append((name, number))
        return found

    def total(self) -> float:
        """Returns the sum of all times."""
        seconds: float = self._sum.get()
        return seconds
