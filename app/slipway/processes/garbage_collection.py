"""When the garbage collector of a process runs.

Objects are freed by reference counting; the collector frees only those in reference cycles. Streams, waits and
supersteps leave almost no cycles, so it has little to do, but a full collection (generation 2) scans every object that
was created since the start and can stop the process for a tenth of a second.

- All loaded objects are frozen: no collection scans them.
- New objects are collected often enough (generations 0 and 1). A collection of generation 1 scans what became old since
  the one before, so it may not wait for long: a large state has more than 100,000 containers, and each takes 0.15 µs.
- A web process runs full collections while it is idle, when nobody waits for it. Under load none runs, except after
  `FULL_AFTER_UNDER_LOAD` collections of generation 1: after hours of load without an idle moment, cycles that lived
  long must not fill the memory.
- A worker runs full collections when they are due, because a pause there delays only the events of its runs.
"""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Final

_YOUNG_OBJECTS: Final = 20_000
"""How many more objects are created than freed before generation 0 is collected. A superstep of a graph creates
thousands of objects that reference counting frees; with Python's default, each superstep would cause collections."""
_YOUNG_COLLECTIONS: Final = 4
"""Collections of generation 0 after which the next one includes generation 1. It scans 100,000 objects at most, in
about 15 ms. With 50 it would scan a million, in 150 ms, while the process decodes large states."""
_FULL_AFTER: Final = 1_000
FULL_AFTER_UNDER_LOAD: Final = 5_000
"""Collections of generation 1 after which a full collection runs in a web process that is never idle. Before each of
them, 100,000 objects more were created than freed."""

IDLE_CHECK_S: Final = 5.0
IDLE_CPU: Final = 0.05
"""A process is idle if it used at most this part of one core between two checks."""


def freeze_loaded_objects(*, full_after: int = _FULL_AFTER) -> None:
    """Excludes all loaded objects from garbage collection, and makes collections less frequent. Called after all
    imports. A full collection runs after `full_after` collections of generation 1."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, _YOUNG_COLLECTIONS, full_after)


async def collect_when_idle() -> None:
    """Runs a full collection whenever the process is idle and a collection of generation 1 has run since the last full
    one; before that, generation 2 has no new objects. Runs until it is cancelled."""
    while True:
        used_s = time.process_time()
        await asyncio.sleep(IDLE_CHECK_S)
        idle = time.process_time() - used_s <= IDLE_CPU * IDLE_CHECK_S
        if idle and gc.get_count()[2] > 0:
            gc.collect()
