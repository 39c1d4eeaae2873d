"""Lists what other processes have open or locked."""

import os
from contextlib import suppress
from pathlib import Path


def open_files(pid: int) -> list[str]:
    """Returns the target of each open file descriptor of the process *pid*.

    A descriptor that the process closes during the call is left out.
    """
    targets = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            targets.append(str(descriptor.readlink()))
    return targets


def is_locked(path: Path) -> bool:
    """Returns whether a process has a lock on the file *path*."""
    inode = f":{os.stat(path).st_ino}"
    return any(
        line.split()[5].endswith(inode)
        for line in Path("/proc/locks").read_text().splitlines()
        if "->" not in line  # that process still waits
    )
