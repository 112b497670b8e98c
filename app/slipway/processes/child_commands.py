"""The command lines of child processes, and what every process does once when it starts."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Final

_PR_SET_NAME: Final = 15
_PARENT_CHECK_S: Final = 1.0


def slipway(*arguments: str) -> tuple[str, ...]:
    """The command line of `slipway <arguments>` in this environment.

    Uses the console script if it exists, so that the process list shows `…/bin/slipway web`."""
    script = Path(sys.executable).with_name("slipway")
    # -P: nothing is imported from the working directory
    command = (str(script),) if script.exists() else ("-P", "-m", "slipway")
    return sys.executable, *command, *arguments


def name_process(name: str) -> None:
    """Sets the name that `ps -o comm` and `top` show for this process (Linux; at most 15 bytes)."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)


def watch_parent() -> None:
    """Ends this process soon after the supervisor has exited. On Linux the kernel does it (`exec_bound_to_parent`)."""
    parent = os.environ.get("SLIPWAY_PARENT_PID")
    if parent:
        threading.Thread(target=_exit_after_parent, args=(int(parent),), name="parent watch", daemon=True).start()


def _exit_after_parent(parent_pid: int) -> None:
    """Blocks until the parent process has exited, then exits this process at once, without cleanup."""
    while os.getppid() == parent_pid:
        time.sleep(_PARENT_CHECK_S)
    os._exit(1)
