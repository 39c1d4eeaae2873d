"""Debugging by signal: SIGUSR1 writes the stack of each thread of this process."""

import faulthandler
import signal
from collections.abc import Iterator
from contextlib import contextmanager

_STDERR = 2
_SIGNALS = frozenset({signal.SIGUSR1, signal.SIGUSR2})


def install_stack_signals() -> None:
    """Makes SIGUSR1 write the stacks of all threads to standard error, and SIGUSR2 do nothing.

    By default both signals end the process. The stacks have line numbers, but no values.
    """
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    try:
        faulthandler.register(signal.SIGUSR1, file=_STDERR, all_threads=True, chain=False)
    except OSError:  # standard error is closed
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


@contextmanager
def block_stack_signals() -> Iterator[None]:
    """Blocks SIGUSR1 and SIGUSR2 while a process is started, so that neither ends it.

    The new process inherits the block, and ends it in `install_stack_signals`.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
