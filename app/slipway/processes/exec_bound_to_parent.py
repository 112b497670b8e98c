"""Starts a program that does not outlive its parent.

Usage: `python exec_bound_to_parent.py PARENT_PID SIGNAL PROGRAM ARGUMENT…`

On Linux the kernel sends SIGNAL to the program when the parent exits for any reason. The program replaces this process,
so the process list shows only the program. On other systems the parent's pid is passed in `SLIPWAY_PARENT_PID` to
`child_commands.watch_parent`.

It is run by its path and without site-packages, so it starts in milliseconds. It exists because no code of Slipway may
run between `fork` and `exec` in a supervisor that may have threads.
"""

from __future__ import annotations

import os
import sys

PR_SET_PDEATHSIG = 1


def main(parent_pid: int, death_signal: int, command: list[str]) -> None:
    """Replaces this process with `command`, unless the parent has exited already."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal)
    else:
        os.environ["SLIPWAY_PARENT_PID"] = str(parent_pid)
    if os.getppid() != parent_pid:
        sys.exit("the parent process has exited")
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
