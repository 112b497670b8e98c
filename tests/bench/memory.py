"""How much memory do web, worker and Valkey hold when nothing happens?

Ask this first: a process that has worked hard does not give everything back. Web and worker are forked from one process
(the fork server) and share its pages until they write to them, so a sum of resident sizes (RSS) would count those pages
three times. Here each page is split between the processes that have it (PSS), and the fork server's own part is counted
with them: that sum is what the machine really gives. The supervisor (`slipway dev`) is told apart: a deployment has
others.
"""

from __future__ import annotations

import psutil

from tests.bench.figures import Figure
from tests.bench.setup import Bench

MB = 1e6


async def measure(bench: Bench) -> list[Figure]:
    """All and each."""
    processes = bench.own()
    held = {name: _held(process) for name, process in processes.items()}
    supervisor = processes["web"].parent()
    assert supervisor is not None
    return [
        Figure("memory, web + worker + fork server + Valkey (PSS)", sum(held.values()), "MB", goal=150),
        *(Figure(f"memory, {name} (PSS)", size, "MB") for name, size in sorted(held.items())),
        Figure("memory, supervisor beside them (PSS)", _held(supervisor), "MB"),
    ]


def _held(process: psutil.Process) -> float:
    return float(process.memory_full_info().pss / MB)
