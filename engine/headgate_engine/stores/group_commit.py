"""Group commit: several changes in one transaction, which waits for the disk once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from headgate_engine.errors import StoreUnavailable
from headgate_engine.model.audit import Audit
from headgate_engine.stores.base import Tx


@dataclass(slots=True)
class PendingTransaction:
    """A change for a group commit, and its outcome.

    *change* and *audit* are the arguments of `Store.transact`. *result* and *revision* are what
    `transact` would return. *error* is what `transact` would raise, or None.
    """

    change: Callable[[Tx], Any]
    audit: Audit
    result: Any = None
    revision: int = 0
    error: BaseException | None = None


def group_commit(
    commit: Callable[[Sequence[PendingTransaction]], None], jobs: Sequence[PendingTransaction]
) -> None:
    """Commits *jobs* with *commit* in one transaction, and stores in each job its outcome.

    Raises no error: an error of *commit* is stored in every job. If only the change of one job
    fails, *commit* itself stores the error in that job. After StoreUnavailable each job is retried
    alone, because a single job may have caused the error.
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
