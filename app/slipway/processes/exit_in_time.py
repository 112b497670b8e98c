"""A process exits when its work has ended, whatever the project's code still does.

Python waits for what that code left behind: for tasks that ignore their cancellation, and for threads, such as that of
a node which is a plain function. Without a limit, a worker that has drained could stay forever.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Awaitable
from typing import Final

import structlog

from slipway.logs.standard_error import flush_lines
from slipway.processes.exit_codes import exit_on_errors_to_fix
from slipway.stop_times import EXIT_WITHIN_S

log = structlog.get_logger(__name__)

_MOST_NAMES: Final = 10


async def exit_after(work: Awaitable[None]) -> None:
    """Does the whole work of this process, and makes sure that the process exits soon afterwards. An error that a
    person must fix is printed and becomes `SystemExit`."""
    try:
        with exit_on_errors_to_fix():
            await work
    except SystemExit as error:
        _exit_in_time(error.code if isinstance(error.code, int) else 1)
        raise
    except BaseException as error:
        _exit_in_time(1, error)
        raise
    _exit_in_time(0)


def _exit_in_time(code: int, error: BaseException | None = None) -> None:
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    threading.Thread(target=_exit_if_late, args=(code, error, tasks), name="exit in time", daemon=True).start()


def _exit_if_late(code: int, error: BaseException | None, tasks: list[asyncio.Task[object]]) -> None:
    """Ends the process at once if it still exists after the time. Names what Python waits for."""
    time.sleep(EXIT_WITHIN_S)
    names = [task.get_name() for task in tasks if not task.done()]
    names += [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    names.remove(threading.current_thread().name)
    log.warning("process.code_left", left=names[:_MOST_NAMES], count=len(names), exc_info=error)
    sys.stdout.flush()
    sys.stderr.flush()
    flush_lines()
    os._exit(code)
