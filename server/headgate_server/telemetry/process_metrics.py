"""The usual metrics of processes (`process_*`), added up over the processes of a server."""

import os
from collections.abc import Callable, Iterable
from functools import partial

from prometheus_client import ProcessCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

# The oldest start, and the limit that the first process reaches; all others are added up.
_SMALLEST = ("process_start_time_seconds", "process_max_fds")


class ServerProcessCollector(Collector):
    """Reads /proc for the processes with the ids that *pids* returns."""

    def __init__(self, pids: Callable[[], Iterable[int]]) -> None:
        self._pids = pids

    def collect(self) -> Iterable[Metric]:
        """Returns the metrics over all processes; without those that have ended."""
        found: dict[str, Metric] = {}
        for pid in self._pids():
            collector = ProcessCollector(pid=partial(int, pid), registry=None)
            for metric in collector.collect():
                known = found.setdefault(metric.name, metric)
                if known is not metric:
                    _add(known, metric)
        return found.values()


def _add(known: Metric, other: Metric) -> None:
    """Adds the value of *other* to *known*; each has one sample."""
    (one,), (two,) = known.samples, other.samples
    both = (one.value, two.value)
    value = min(both) if known.name in _SMALLEST else sum(both)
    known.samples = [Sample(one.name, one.labels, value)]


def is_of_this_server(pid: int) -> bool:
    """Returns whether the process *pid* is the parent of this process, or its child.

    The id of an ended worker may be another program's by now.
    """
    parent = os.getppid()
    if pid == parent:
        return True
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return False
    return int(fields[1]) == parent
