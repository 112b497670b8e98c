"""The CLI command `slipway checkpoints prune`: applies the retention of checkpoints to stored threads."""

from __future__ import annotations

from dataclasses import dataclass

from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from slipway.checkpoints.kept_by_graph import KeptByGraph
from slipway.checkpoints.maintenance import maintenance
from slipway.checkpoints.reads import CheckpointReads
from slipway.errors import ConfigError
from slipway.graphs.interface import Graphs
from slipway.settings import Settings


@dataclass(frozen=True, slots=True)
class PruneOptions:
    """Which threads are pruned, and how. `keep` takes the place of the configured numbers."""

    thread_id: str | None = None
    graph_id: str | None = None
    keep: int | None = None
    dry_run: bool = False


async def prune(settings: Settings, graphs: Graphs, options: PruneOptions) -> str:
    """Prunes all threads that the options select, and returns a sentence about what was deleted. Opens one connection
    to Redis. Raises `ConfigError` and `StoreUnavailable`."""
    if settings.checkpointer != "core":
        raise ConfigError(
            f"slipway checkpoints prune needs SLIPWAY_CHECKPOINTER=core: {settings.checkpointer} cannot delete single "
            "checkpoints"
        )
    kept = KeptByGraph(settings, graphs)
    if options.graph_id is not None and options.graph_id not in graphs.names():
        raise ConfigError(f"--graph {options.graph_id}: langgraph.json names no such graph")
    async with maintenance(settings, graphs, "slipway prune") as opened:
        reads = CheckpointReads(opened.pipeline, opened.shards.records)
        return await _prune(await opened.checkpointer("core"), reads, kept, options)


async def _prune(
    checkpointer: BaseCheckpointer, reads: CheckpointReads, kept: KeptByGraph, options: PruneOptions
) -> str:
    threads = checkpoints = freed = busy = 0
    for thread_id in [options.thread_id] if options.thread_id else await checkpointer.thread_ids():
        incarnation, graph_id = await reads.thread(thread_id)
        if incarnation is None or options.graph_id not in (None, graph_id):
            continue
        keep = options.keep or kept.keep_of(graph_id)
        if keep is None:
            continue
        result = await checkpointer.retain(thread_id, keep, incarnation, dry_run=options.dry_run)
        threads += 1
        if result is None:
            busy += 1
        else:
            checkpoints, freed = checkpoints + result.count, freed + result.size
    verb = "would be deleted" if options.dry_run else "were deleted"
    skipped = f"; {busy} threads were busy or changed meanwhile and were skipped" if busy else ""
    return f"{checkpoints} checkpoints with {freed} bytes {verb}, of {threads} threads{skipped}"
