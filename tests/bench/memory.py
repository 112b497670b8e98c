"""How much memory do web, worker and Valkey hold when nothing happens?

Ask this first: a process that has worked hard does not give everything back. Pages that processes share are split
between them (PSS).
"""

from __future__ import annotations

from tests.bench.figures import Figure
from tests.bench.setup import Bench

MB = 1e6


async def measure(bench: Bench) -> list[Figure]:
    """All and each."""
    held = {name: process.memory_full_info().pss / MB for name, process in bench.own().items()}
    return [
        Figure("memory, web + worker + Valkey (PSS)", sum(held.values()), "MB", goal=150),
        *(Figure(f"memory, {name} (PSS)", size, "MB") for name, size in sorted(held.items())),
    ]
