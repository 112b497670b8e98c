"""Memory of the idle web process, worker, fork server and Valkey.

This is measured first, because a process does not return all its memory after work. The web process and the worker are
forked from the fork server and share its pages until they write to them, so the sum of their resident sizes (RSS) would
count these pages three times. The proportional size (PSS) divides each page between the processes that share it; its
sum is what the machine really uses. The supervisor (`slipway dev`) is shown separately, as other deployments have
another supervisor."""

from __future__ import annotations

import psutil

from tests.bench.figures import Figure
from tests.bench.setup import Bench

MB = 1e6


async def measure(bench: Bench) -> list[Figure]:
    """The sum, and each process."""
    processes = bench.own()
    sizes_mb = {name: _pss_mb(process) for name, process in processes.items()}
    supervisor = processes["web"].parent()
    assert supervisor is not None
    return [
        Figure("memory, web + worker + fork server + Valkey (PSS)", sum(sizes_mb.values()), "MB", goal=150),
        *(Figure(f"memory, {name} (PSS)", size, "MB") for name, size in sorted(sizes_mb.items())),
        Figure("memory, supervisor (PSS)", _pss_mb(supervisor), "MB"),
    ]


def _pss_mb(process: psutil.Process) -> float:
    return float(process.memory_full_info().pss / MB)
