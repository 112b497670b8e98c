"""A thread that one graph has begun, and that another graph continues."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig

from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from slipway.checkpoints.core_checkpointer import CoreCheckpointer
from slipway.checkpoints.fenced_writers import UnfencedWriter
from slipway.checkpoints.moved_ids import CURRENT_MOVED_IDS, keep_ids_of_questions
from slipway.graphs.interface import Graph, with_checkpointer
from slipway.graphs.migration_set import NO_MIGRATIONS, MigrationSet, migration_set
from slipway.migrations import migrations_in
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.thread_moves.rewriting import Rewriting, Rewritten
from slipway.thread_moves.stored_thread import read_thread
from slipway.thread_moves.storing import store
from tests.shards import shards_of
from tests.thread_moves.deployment import deployment, deployment_settings

THREAD = "t"


@dataclass
class MovedThread:
    """A thread in Redis, and what its graphs have done."""

    saver: BaseCheckpointer
    done: list[str] = field(default_factory=list)

    @property
    def config(self) -> RunnableConfig:
        return {"configurable": {"thread_id": THREAD}}

    async def run(self, graph: Graph, given: Any, **options: Any) -> dict[str, Any]:
        """Executes the graph as an attempt does: with a checkpointer of its own."""
        keep_ids_of_questions()
        writer = UnfencedWriter(self.saver.pipeline, self.saver.shards)
        saver = self.saver.for_run(writer, own_thread=THREAD)
        token = CURRENT_MOVED_IDS.set(saver.moved_ids)
        try:
            return dict(await with_checkpointer(graph, saver).ainvoke(given, self.config, **options))
        finally:
            CURRENT_MOVED_IDS.reset(token)

    async def move(
        self,
        graph: Graph,
        *migrations: Callable[..., Any],
        calls: Sequence[str] = (),
        versions: tuple[str, str] = ("1", "2"),
    ) -> Rewritten:
        """Rewrites the thread for `graph`, and stores it."""
        found = NO_MIGRATIONS
        path: Sequence[tuple[str, str]] = ()
        if migrations:
            found = _set_of(migrations)
            path = found.path(*versions)
        thread = await read_thread(self.saver, THREAD)
        assert thread is not None
        rewriting = Rewriting(thread, graph, self.saver, versions, calls, found, path)
        result = await rewriting.rewritten()
        await store(self.saver, THREAD, result.checkpoints)
        return result

    async def questions(self) -> list[str]:
        """The ids of the open questions, as a state read shows them."""
        found = await read_thread(self.saver, THREAD)
        assert found is not None
        writes = [write for each in (found.root,) for write in each.writes if write.channel == "__interrupt__"]
        return [interrupt.id for write in writes for interrupt in write.value]


def _set_of(migrations: Sequence[Callable[..., Any]]) -> MigrationSet:
    holder = type("Module", (), {f"f{number}": staticmethod(each) for number, each in enumerate(migrations)})
    found = migrations_in(holder)
    for each in migrations:
        found += [one for one in getattr(each, "__slipway_migration__") if one not in found]  # noqa: B009
    return migration_set(found, ["1", "2", "3"])


@pytest.fixture
def thread(pipeline: Pipeline, keys: Keys) -> MovedThread:
    return MovedThread(CoreCheckpointer(pipeline, shards_of(keys)))


__all__ = ["BaseCheckpointer", "MovedThread", "deployment", "deployment_settings"]
