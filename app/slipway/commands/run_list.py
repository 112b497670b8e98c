"""What `slipway runs` prints: runs across threads, as a table or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from slipway.commands.lists import check_choices, text_table
from slipway.commands.operator_commands import opened
from slipway.runs.record import Phase, Run
from slipway.runs.run_position import RunPosition
from slipway.runs.search import RunQuery, RunSearch
from slipway.serialization.json_encoding import dumps
from slipway.settings import Settings

_COLUMNS: Final = ("created_at", "run_id", "thread_id", "graph_id", "version", "phase", "reason", "owner")


def phases_of(names: Sequence[str]) -> frozenset[Phase]:
    """Raises `ConfigError` for a name that no phase has."""
    check_choices("--phase", names, [phase.value for phase in Phase])
    return frozenset(map(Phase, names))


async def list_runs(settings: Settings, query: RunQuery, *, limit: int, oldest_first: bool) -> list[Run]:
    """At most `limit` runs, however many entries of the indexes must be read to find them. Raises `StoreUnavailable`,
    and `ConfigError` if the data in Redis have another layout version."""
    async with opened(settings, "runs", seals=False) as (pipeline, shards):
        search = RunSearch(pipeline, shards, max_checks=settings.search_max_checks)
        found: list[Run] = []
        after: RunPosition | None = None
        while len(found) < limit:
            page = await search.page(query, limit=limit - len(found), after=after, oldest_first=oldest_first)
            found, after = found + page.runs, page.next
            if after is None:
                break
        return found


def as_json(runs: list[Run]) -> str:
    """One line of JSON for each run, with the members that `GET /ops/runs` returns."""
    return "\n".join(dumps(_members(run)).decode() for run in runs)


def as_table(runs: list[Run]) -> str:
    """One line for each run, with the most important members."""
    if not runs:
        return "no run was found"
    return text_table([_COLUMNS, *(tuple(str(_members(run).get(name) or "") for name in _COLUMNS) for run in runs)])


def _members(run: Run) -> dict[str, Any]:
    return run.public() | {"owner": run.owner}
