"""What a line of the log costs: `python -m tests.logs.cost`."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Callable

import structlog

from slipway.current_work import CURRENT_WORK
from slipway.logs.configuration import configure
from slipway.settings import Settings

ROUNDS = 7
RUN = "019a0af3-0000-7000-8000-000000000000"

log = structlog.get_logger(__name__)
library = logging.getLogger("library")


def settled() -> None:
    log.info("run.settled", phase="completed", code=None, steps=3, active_s=0.123, run=RUN, graph="agent", attempt=1)


def failed() -> None:
    try:
        raise ValueError("failed")
    except ValueError:
        log.exception("duty.failed", duty="reaper", problem="ValueError")


def cost_us(call: Callable[[], object], times: int) -> float:
    """The least of several rounds: microseconds of CPU for each call."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(times):
            call()
        rounds.append((time.process_time() - began) / times * 1e6)
    return min(rounds)


def main() -> None:
    reader = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert reader.stdin is not None
    sys.stderr = reader.stdin  # a pipe, as that of a container; until the process ends
    CURRENT_WORK.set({"run": RUN, "thread": RUN, "attempt": 1, "graph": "agent", "trace": "0" * 32})
    for log_format in ("json", "text"):
        configure(Settings.model_validate({"log_format": log_format}), "worker")
        print(f"{log_format}: a line of Slipway {cost_us(settled, 4000):.1f} µs")
        print(f"{log_format}: a line of a library {cost_us(lambda: library.warning('from %s', 'it'), 4000):.1f} µs")
        print(f"{log_format}: a line below the level {cost_us(lambda: log.debug('a.b', c=1), 20_000):.1f} µs")
        print(f"{log_format}: a line with a traceback {cost_us(failed, 1000):.1f} µs")


if __name__ == "__main__":
    main()
