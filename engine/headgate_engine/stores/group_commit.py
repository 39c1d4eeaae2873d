"""Changes that are made together, as if each were made alone: the disk is waited for once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from headgate_engine.errors import Unavailable
from headgate_engine.stores.base import Audit, Tx


@dataclass(slots=True)
class Job:
    """One change, and what became of it: *error*, or *result* and the *revision* that it made."""

    change: Callable[[Tx], Any]
    audit: Audit
    result: Any = None
    revision: int = 0
    error: BaseException | None = None


def together(commit: Callable[[Sequence[Job]], None], jobs: Sequence[Job]) -> None:
    """Sees to all of *jobs*, and raises nothing: what became of each stands in it.

    *commit* makes them durable, or raises what is true of each of them; what a single change raises
    it leaves in its job.
    """
    try:
        commit(jobs)
    except Unavailable as error:
        if len(jobs) > 1:  # nothing is done: it may be the fault of one
            for job in jobs:
                together(commit, [job])
        else:
            jobs[0].error = error
    except Exception as error:
        for job in jobs:
            job.error = error
