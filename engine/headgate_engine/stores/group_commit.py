"""Group commit: several changes in one transaction, which waits for the disk once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from headgate_engine.errors import StoreUnavailable
from headgate_engine.stores.base import Audit, Tx


@dataclass(slots=True)
class PendingTransaction:
    """The arguments of `Store.transact`, and its outcome: *error*, or *result* and *revision*."""

    change: Callable[[Tx], Any]
    audit: Audit
    result: Any = None
    revision: int = 0
    error: BaseException | None = None


def group_commit(
    commit: Callable[[Sequence[PendingTransaction]], None], jobs: Sequence[PendingTransaction]
) -> None:
    """Commits *jobs* in one transaction. Raises nothing: the outcome of each job is in the job.

    *commit* makes the jobs durable, or raises the error of the whole group. It stores the error of
    a single change in its job. After StoreUnavailable each job is retried alone, because a single
    job may have caused the error.
    """
    try:
        commit(jobs)
    except StoreUnavailable as error:
        if len(jobs) > 1:  # nothing was done, and a single job may be the cause
            for job in jobs:
                group_commit(commit, [job])
        else:
            jobs[0].error = error
    except Exception as error:
        for job in jobs:
            job.error = error
