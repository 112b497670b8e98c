"""The verdict about each thread that an earlier release has left in Redis, at each kind of pause, if the code is the
same: it continues. What is next in it is what LangGraph says."""

from __future__ import annotations

from pathlib import Path

import pytest
from langchain_core.runnables import RunnableConfig

from slipway.deploy_checks.run_check import run_check
from slipway.graphs.interface import with_checkpointer
from slipway.graphs.registry import Registry
from slipway.graphs.verdict import VerdictKind
from slipway.graphs.verdicts import verdict_of
from slipway.services import open_services
from slipway.settings import Settings
from slipway.thread_positions.reader import PositionReader
from tests.compat.dump_format import Dump
from tests.compat.make_dumps import PROJECT
from tests.compat.test_dumps import FILES, restored
from tests.project_fixtures import graphs_of

graphs = graphs_of(PROJECT)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.name.partition('.')[0]}")
async def test_the_same_code_continues_every_thread(
    file: Path, graphs: Registry, request: pytest.FixtureRequest
) -> None:
    dump = Dump.load(file)
    url = request.getfixturevalue("modules_url" if "langgraph-redis" in file.name else "valkey_url")
    settings = Settings.from_values({"redis_url": url, "config": PROJECT, **dump.settings})
    async with restored(dump, url):
        report, _ = await run_check(settings, graphs)
        assert report.count(VerdictKind.HOLD) == 0, "\n".join(report.lines())
        with_graph = 0
        async with open_services(settings, graphs, "web") as services:
            reader = PositionReader(services.checkpointer)
            for pause, thread_id in dump.threads.items():
                thread = await services.threads.get(thread_id)
                if thread.graph_id is None:  # it has no run yet
                    continue
                with_graph += 1
                structure = await graphs.structure(thread.graph_id)
                assert structure is not None
                config: RunnableConfig = {"configurable": {"thread_id": thread_id}}
                async with graphs.open(thread.graph_id, config, "threads.read") as opened:
                    state = await with_checkpointer(opened, services.checkpointer).aget_state(config)
                for old in (structure, None):
                    position = await reader.read(thread_id, old)
                    started = [task.node for task in position.tasks if not task.finished]
                    assert set(state.next) <= set(started), (pause, old is None)
                    assert bool(state.next) == bool(started), (pause, old is None)
                    assert verdict_of(old, structure, position).kind is VerdictKind.CONTINUE, pause
        assert report.count(VerdictKind.CONTINUE) == with_graph >= len(dump.threads) - 1
