"""Reports code that blocks the event loop of a web process or a worker while it still blocks it.

While a coroutine computes or waits without `await`, nothing else happens in its process: no other run, no stream, no
claim. Only heartbeats are sent, so that the runs are not lost. A thread notices it: it asks the event loop to call a
function, the probe, and the event loop does so in its next iteration, unless it is blocked.

Two cases are not a block by the code that is shown:

- A process that was suspended (SIGSTOP, a paused container, a machine without time for it). Then the thread sleeps too
  long as well, and the process uses no CPU time meanwhile. What it slept too long is not counted. It is counted if the
  process used more CPU time than in the planned time of sleep, because then a function in C has held the interpreter
  lock, which also blocks the thread.
- A long garbage collection, which starts in any code that creates objects. It is counted and named.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from slipway.health.running_code import running_code
from slipway.metrics.process_metrics import ProcessMetrics
from slipway.telemetry.table.deployment_metrics import EVENT_LOOP_BLOCKED_SECONDS, EVENT_LOOP_BLOCKS

log = structlog.get_logger(__name__)

REPEAT_FACTOR: Final = 4
"""A block is reported again each time it lasts this many times longer: after 1, 4, 16, 64 s and so on."""

_JOIN_S: Final = 1.0
"""Seconds that `watching` waits at its end for its thread, which may be writing a log line."""

_COLLECTION_SHARE: Final = 0.1
"""The part of a block above which its garbage collections are named."""


@dataclass(slots=True)
class _Probe:
    """A call that the event loop was asked for. Times are of `time.monotonic`."""

    asked_at: float
    report_after_s: float
    collected_s: float
    """Seconds of garbage collections before it."""
    answered_at: float | None = None
    suspended_s: float = 0
    """Seconds since then in which the process was suspended."""
    reported: Mapping[str, str | int] | None = None
    """What the latest report said about the task and its work. None before the first report."""

    def answer(self) -> None:
        """Called by the event loop."""
        self.answered_at = time.monotonic()

    @property
    def waited_s(self) -> float:
        """How long the event loop has not come back, or had not."""
        until = time.monotonic() if self.answered_at is None else self.answered_at
        return until - self.asked_at - self.suspended_s


class EventLoopWatch:
    """Watches one event loop. A block that lasts 1.5 times `limit_s` seconds is always reported, and none that is
    shorter than `limit_s`. `project` is the folder of the project."""

    def __init__(self, limit_s: float, project: Path) -> None:
        self._limit_s, self._interval_s, self._project = limit_s, limit_s / 2, project
        self._stopping, self._collections = threading.Event(), _Collections()
        self.blocks = 0
        """How many blocks were reported."""
        self.blocked_s = 0.0
        """How many seconds those took that are over."""

    def count_in(self, metrics: ProcessMetrics) -> None:
        """From now on, each publication of these metrics has what was counted."""
        published = {"blocks": 0, "us": 0}

        def count() -> None:
            blocks, blocked_us = self.blocks, round(self.blocked_s * 1_000_000)
            metrics.count(EVENT_LOOP_BLOCKS, metrics.process, by=blocks - published["blocks"])
            metrics.count(EVENT_LOOP_BLOCKED_SECONDS, metrics.process, by=blocked_us - published["us"])
            published.update(blocks=blocks, us=blocked_us)

        metrics.before_publication(count)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watches the running event loop inside the block."""
        self._loop, self._loop_thread = asyncio.get_running_loop(), threading.get_ident()
        thread = threading.Thread(target=self._watch, name="event loop watch", daemon=True)
        gc.callbacks.append(self._collections)
        thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            gc.callbacks.remove(self._collections)
            thread.join(_JOIN_S)

    def _watch(self) -> None:
        probe = self._ask()
        while True:
            slept_at, cpu_s = time.monotonic(), time.process_time()
            if self._stopping.wait(self._interval_s):
                return
            overslept_s = time.monotonic() - slept_at - self._interval_s
            if overslept_s > self._interval_s / 2 and time.process_time() - cpu_s <= self._interval_s:
                probe.suspended_s += overslept_s
            if probe.answered_at is not None:
                if probe.reported is not None or probe.waited_s >= self._limit_s:
                    self._report_end(probe)
                probe = self._ask()
            elif probe.waited_s >= probe.report_after_s:
                self._report(probe)

    def _ask(self) -> _Probe:
        probe = _Probe(time.monotonic(), self._limit_s, self._collections.seconds)
        self._loop.call_soon_threadsafe(probe.answer)
        return probe

    def _report(self, probe: _Probe) -> None:
        code = running_code(self._loop, self._loop_thread, self._project)
        if probe.reported is None:
            self.blocks += 1
        probe.report_after_s *= REPEAT_FACTOR
        probe.reported = {**code.task, **code.work}
        log.warning("event_loop.blocked", **self._times(probe), **probe.reported, where=code.stack)

    def _report_end(self, probe: _Probe) -> None:
        if probe.reported is None:  # it ended just before its report
            self.blocks += 1
        self.blocked_s += probe.waited_s
        log.info("event_loop.unblocked", **self._times(probe), **(probe.reported or {}))

    def _times(self, probe: _Probe) -> dict[str, Any]:
        blocked_s, collected_s = probe.waited_s, self._collections.seconds - probe.collected_s
        times = {"blocked_s": round(blocked_s, 1)}
        if collected_s > blocked_s * _COLLECTION_SHARE:
            times["garbage_collection_s"] = round(collected_s, 1)
        return times


class _Collections:
    """A callback of the garbage collector, which measures its time."""

    def __init__(self) -> None:
        self._ended_s, self._began_at = 0.0, 0.0

    def __call__(self, phase: str, info: Mapping[str, int]) -> None:
        now = time.monotonic()
        if phase == "start":
            self._began_at = now
        elif self._began_at:
            self._ended_s += now - self._began_at
            self._began_at = 0.0

    @property
    def seconds(self) -> float:
        """Seconds of all collections, including the one that runs now."""
        return self._ended_s + (time.monotonic() - self._began_at if self._began_at else 0)
