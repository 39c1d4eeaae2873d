"""No copy of a command's memory: passwords and tokens pass through it."""

import ctypes
import resource
import sys

_PR_SET_DUMPABLE = 4  # <linux/prctl.h>


def forbid_core_dumps() -> None:
    """Lets no core file of this process, or of those it starts, be written.

    On Linux other processes of the same user cannot read this one's memory either. The kernel does
    not look at the limit where a program takes the core, so both are needed.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
