"""Calls the migrations of the project for one checkpoint."""

from __future__ import annotations

import asyncio
import copy
import inspect
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from langgraph.types import Send

from slipway.exception_text import class_name, message_of
from slipway.graphs.migration_set import MigrationSet, Pair, place_of
from slipway.migrations import Migration, PendingSend, StoredState
from slipway.thread_moves.errors import MigrationFailed

MIGRATION_S: Final = 30.0
"""After so many seconds a migration fails. A worker executes other runs meanwhile; the thread of a function that blocks
cannot be stopped."""


@dataclass(frozen=True, slots=True)
class MigratedState:
    """The result of all migrations of a checkpoint. Without a migration it is what is stored."""

    values: Mapping[str, Any]
    input: Any = None
    sends: Sequence[Send] = ()
    nodes: Mapping[str, str] = field(default_factory=dict)
    """Old names of nodes to new ones, over all migrations."""
    channels: Mapping[str, str] = field(default_factory=dict)
    """The same of channels."""
    last: tuple[Pair, Migration] | None = None
    """The migration that made the result, for errors. None if none was called."""


async def migrated(
    stored: MigratedState, pending: Sequence[str], migrations: MigrationSet, path: Sequence[Pair], subgraph: str
) -> MigratedState:
    """Calls the migrations on `path` for a checkpoint of this subgraph, in order. They receive copies. Raises
    `MigrationFailed`."""
    result, names = stored, tuple(pending)
    for pair in path:
        migration = migrations.steps[pair].of(subgraph)
        if migration is not None:
            result = await _called(migration, pair, result, names)
            names = tuple(result.nodes.get(name, name) for name in pending)
    return result


async def _called(migration: Migration, pair: Pair, before: MigratedState, pending: tuple[str, ...]) -> MigratedState:
    state = StoredState(
        copy.deepcopy(dict(before.values)),
        pending=pending,
        input=copy.deepcopy(before.input),
        sends=[PendingSend(send.node, copy.deepcopy(send.arg)) for send in before.sends],
    )
    try:
        async with asyncio.timeout(MIGRATION_S):
            after = await _result_of(migration, state)
    except TimeoutError as error:
        raise MigrationFailed(pair, f"it took longer than {MIGRATION_S:g} s", place_of(migration)) from error
    except Exception as error:  # the project's code may raise anything
        problem = f"{class_name(error)}: {message_of(error)}"
        raise MigrationFailed(pair, problem, _place_in(error, migration)) from error
    problem = _problem_of(after, len(before.sends))
    if problem:
        raise MigrationFailed(pair, problem, place_of(migration))
    assert isinstance(after, StoredState)
    sends = before.sends if after.sends is None else [Send(each.node, each.input) for each in after.sends]
    return MigratedState(
        after.values,
        after.input if after.sends is not None else before.input,
        sends,
        _composed(before.nodes, after.nodes),
        _composed(before.channels, after.channels),
        (pair, migration),
    )


def _problem_of(result: object, sends: int) -> str:
    """Why what a migration returned is no state. Empty if it is one."""
    if not isinstance(result, StoredState):
        return f"it returned an object of type {type(result).__name__} instead of a StoredState"
    if not isinstance(result.values, dict) or not all(isinstance(name, str) for name in result.values):
        return "values of what it returned must be a dict with names of channels"
    if result.sends is None:
        return ""
    if not all(isinstance(each, PendingSend) for each in result.sends):
        return "sends of what it returned must be a list of PendingSend"
    if len(result.sends) != sends:
        return f"it returned {len(result.sends)} sends, and {sends} are pending; their number must stay"
    return ""


async def _result_of(migration: Migration, state: StoredState) -> object:
    function = migration.function
    if inspect.iscoroutinefunction(inspect.unwrap(function)):
        return await function(state)  # type: ignore[misc]
    result = await asyncio.to_thread(function, state)
    return await result if inspect.isawaitable(result) else result


def _composed(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    """Names over two migrations."""
    result = {old: after.get(new, new) for old, new in before.items()}
    current = set(before.values())
    return result | {old: new for old, new in after.items() if old not in current and old not in result}


def _place_in(error: BaseException, migration: Migration) -> str:
    """The innermost line of the file of the migration from which the error came."""
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == migration.file]
    if not lines:
        return place_of(migration)
    place, _, _ = place_of(migration).rpartition(":")
    return f"{place or Path(migration.file).name}:{lines[-1].lineno}"
