"""Starts a program that ends when its parent exits.

Usage: `python exec_bound_to_parent.py PARENT_PID SIGNAL PROGRAM ARGUMENT…`

On Linux, the kernel sends SIGNAL to the program when the parent exits for any reason. The program replaces this
process, so the process list shows only the program. On other systems, the parent's pid is passed to
`child_commands.watch_parent` in the variable `SLIPWAY_PARENT_PID`.

The file is executed by its path and without site-packages, so it starts in milliseconds. It is a separate program
because a supervisor may have threads, and then no Python code may be executed between `fork` and `exec`.
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
