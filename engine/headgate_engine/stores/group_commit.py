"""Group commit: several changes in one transaction, which waits for the disk once."""

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from headgate_engine.errors import StoreUnavailable
from headgate_engine.model.audit import Audit
from headgate_engine.stores.base import PendingTransaction, Tx
from headgate_engine.stores.observer import StoreObserver

T = TypeVar("T")


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


def commit_one(
    commit: Callable[[Sequence[PendingTransaction]], None],
    change: Callable[[Tx], T],
    audit: Audit,
    observer: StoreObserver,
) -> tuple[T, int]:
    """Commits *change* alone with *commit*. Returns and raises what `Store.transact` does."""
    job, began = PendingTransaction(change, audit), time.perf_counter()
    try:
        commit([job])
    finally:
        observer.changed(time.perf_counter() - began)
    if job.error is not None:
        raise job.error
    return job.result, job.revision


def commit_each(
    transact: Callable[[Callable[[Tx], Any], Audit], tuple[Any, int]],
    jobs: Sequence[PendingTransaction],
) -> None:
    """Runs each of *jobs* by *transact* in a transaction of its own, and stores its outcome."""
    for job in jobs:
        job.error = None
        try:
            job.result, job.revision = transact(job.change, job.audit)
        except Exception as error:
            job.error = error
