"""Starts a program that does not outlive its parent: `python launch.py PARENT_PID SIGNAL PROGRAM ARGUMENT…`.

On Linux the kernel is asked to send SIGNAL when the parent goes, however it goes, and the program takes this process
over, so that the process list shows the program and nothing of this file. Elsewhere the parent's pid is left in
`SLIPWAY_PARENT_PID` for `processes.watch_parent`. Run by its path, without site-packages: it starts in milliseconds,
and nothing runs between a fork and an exec of a process that may have threads.
"""

from __future__ import annotations

import os
import sys

PR_SET_PDEATHSIG = 1


def main(parent_pid: int, death_signal: int, command: list[str]) -> None:
    """Become `command`, unless the parent is gone already."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal)
    else:
        os.environ["SLIPWAY_PARENT_PID"] = str(parent_pid)
    if os.getppid() != parent_pid:
        sys.exit("the process that wanted this one is gone")
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
