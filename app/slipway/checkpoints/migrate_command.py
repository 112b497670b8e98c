"""The CLI command `slipway checkpoints migrate`: moves all threads and shows progress and results on the terminal."""

from __future__ import annotations

from contextlib import aclosing

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from slipway.checkpoints.maintenance import maintenance
from slipway.checkpoints.migration import Migration, MoveResult
from slipway.checkpoints.requirements import CheckpointerName
from slipway.errors import ConfigError
from slipway.graphs.interface import Graphs
from slipway.settings import Settings


async def migrate(
    settings: Settings, graphs: Graphs, source: CheckpointerName, target: CheckpointerName, *, delete_source: bool
) -> bool:
    """Moves the checkpoints of all threads from one checkpointer to the other. Returns whether every thread was moved.
    The progress bar is on standard error, the results are on standard output. Opens one connection to Redis. Raises
    `ConfigError` and `StoreUnavailable`."""
    if source == target:
        raise ConfigError(f"--from and --to are both {source}: there is nothing to move")
    if delete_source and settings.checkpointer == source:
        raise ConfigError(
            f"--delete-source would delete the data that SLIPWAY_CHECKPOINTER={source} uses: migrate without it first, "
            f"restart all processes with SLIPWAY_CHECKPOINTER={target}, and then migrate again with --delete-source"
        )
    async with maintenance(settings, graphs, "slipway migrate") as opened:
        migration = Migration(
            opened.pipeline,
            opened.shards,
            await opened.checkpointer(source),
            await opened.checkpointer(target),
            delete_source,
        )
        results = await _move_with_progress_bar(migration, await migration.thread_ids())
    return _print_results(results, source, target)


async def _move_with_progress_bar(migration: Migration, thread_ids: list[str]) -> list[MoveResult]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    results: list[MoveResult] = []
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("threads", total=len(thread_ids))
        async with aclosing(migration.run(thread_ids)) as running:
            async for result in running:
                results.append(result)
                progress.advance(bar)
    return results


def _print_results(results: list[MoveResult], source: CheckpointerName, target: CheckpointerName) -> bool:
    console = Console(highlight=False, markup=False, soft_wrap=True)
    failed = [result for result in results if result.problem]
    for result in failed:
        console.print(f"not moved: thread {result.thread_id}: {result.problem}")
    moved = [result for result in results if not result.problem]
    checkpoints = sum(result.checkpoints for result in moved)
    console.print(
        f"{len(moved)} of {len(results)} threads moved from {source} to {target}, {checkpoints} checkpoints compared"
    )
    return not failed
