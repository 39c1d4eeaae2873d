"""Keeps the memory of a command, which holds passwords and tokens, out of core dumps."""

import ctypes
import resource
import sys

_PR_SET_DUMPABLE = 4  # <linux/prctl.h>


def forbid_core_dumps() -> None:
    """Disables core dumps for this process and the processes that it starts.

    On Linux, other processes of the same user cannot read the memory of this process either.
    `setrlimit` alone is not enough: the kernel ignores the limit if it passes core dumps to a
    program. `prctl` disables these core dumps too.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
