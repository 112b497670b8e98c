"""Command lines of child processes, the names of processes, and what each process does once at its start."""

from __future__ import annotations

import gc
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

    The console script where there is one, so that the process list reads `…/bin/slipway web`."""
    script = Path(sys.executable).with_name("slipway")
    command = (str(script),) if script.exists() else ("-P", "-m", "slipway")  # not from the working directory
    return sys.executable, *command, *arguments


def name_process(name: str) -> None:
    """Sets the name that `ps -o comm` and `top` show for this process (Linux; at most 15 bytes)."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)


def watch_parent() -> None:
    """Exits soon after the supervisor exited. On Linux the kernel does that (see `exec_bound_to_parent`)."""
    parent = os.environ.get("SLIPWAY_PARENT_PID")
    if parent:
        threading.Thread(target=_end_without, args=(int(parent),), name="parent watch", daemon=True).start()


def _end_without(parent_pid: int) -> None:
    while os.getppid() == parent_pid:
        time.sleep(_PARENT_CHECK_S)
    os._exit(1)


def freeze_loaded_objects() -> None:
    """Excludes everything that is loaded from garbage collection, and makes collections rarer. Called after all
    imports.

    A superstep of a graph allocates thousands of short-lived objects, which reference counting frees. With the default
    thresholds the collector would scan all modules each time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
