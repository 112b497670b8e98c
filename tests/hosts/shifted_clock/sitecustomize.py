"""Python imports this module first, where its folder is in `PYTHONPATH`: processes with a clock of their own.

`time.sleep` calls `clock_nanosleep`, which always fails under libfaketime 0.9.10 if that leaves the monotonic clock
alone. `select` waits for the same time.
"""

import select
import time
from typing import SupportsIndex


def sleep(seconds: float | SupportsIndex, /) -> None:
    waited_s = float(seconds)
    if waited_s < 0:
        raise ValueError("sleep length must be non-negative")
    select.select([], [], [], waited_s)


time.sleep = sleep
