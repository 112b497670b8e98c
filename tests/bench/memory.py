"""Memory of the idle supervisor, web process, worker and Valkey.

This is measured first, because a process does not return all its memory after work. The supervisor (`slipway dev`)
forks the web process and the worker. These share its pages until they write to them, so the sum of their resident sizes
(RSS) would count these pages three times. The proportional size (PSS) divides each page between the processes that
share it; its sum is what the machine really uses.
"""

from __future__ import annotations

import psutil

from tests.bench.figures import Figure
from tests.bench.setup import Bench

MB = 1e6


async def measure(bench: Bench) -> list[Figure]:
    """The sum, and each process."""
    processes = bench.own()
    supervisor = processes["web"].parent()
    assert supervisor is not None
    sizes_mb = {name: _pss_mb(process) for name, process in (processes | {"supervisor": supervisor}).items()}
    return [
        Figure("memory, supervisor + web + worker + Valkey (PSS)", sum(sizes_mb.values()), "MB", goal=150),
        *(Figure(f"memory, {name} (PSS)", size, "MB") for name, size in sorted(sizes_mb.items())),
    ]


def _pss_mb(process: psutil.Process) -> float:
    return float(process.memory_full_info().pss / MB)
