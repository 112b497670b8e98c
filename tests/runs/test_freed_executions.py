"""An execution that has ended is freed at once, with all its parts, without the garbage collector.

Not one whose graph was ended by an exception or a cancellation, or whose node has asked people: a traceback refers to
frames of LangGraph, which refer to the exception. Such runs are rare enough for the collector.

The tests use the event loop of workers. That of asyncio keeps a timer that is cancelled, and so what it refers to,
until it would have been due.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator

import pytest
import uvloop

from slipway.execution.execution import Execution
from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.runs.attempt_writer import AttemptWriter
from slipway.runs.record import Phase, Run
from slipway.runs.write_groups import GroupSender
from slipway.settings import Settings
from slipway.tracing.attempt_trace import AttemptTrace, OpenSpan
from tests.project_fixtures import settings_of
from tests.runs.conftest import PROJECT, new_run, opened
from tests.waiting import wait_until
from tests.worker import running_worker

PARTS = (Execution, AttemptWriter, GroupSender, AttemptTrace, OpenSpan, Run)

settings = settings_of(PROJECT)


@pytest.fixture
def no_collections() -> Iterator[None]:
    """Objects are freed by reference counting only."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def existing() -> Counter[str]:
    """The objects of executions, by class."""
    return Counter(type(each).__name__ for each in gc.get_objects() if isinstance(each, PARTS))


async def execute(settings: Settings, graphs: Registry, graph_id: str) -> None:
    """Runs complete in a worker, and nothing is left of them."""
    assert settings.redis_url is not None
    keys = Keys(settings.key_prefix)
    async with (
        opened(settings.redis_url.get_secret_value(), keys) as stores,
        running_worker(settings, graphs) as (_, services),
    ):
        for _ in range(3):
            spec = new_run(await stores.create_thread(), graph_id=graph_id)
            run = (await services.submission.creator.create(spec)).run

            async def is_completed(run: Run = run) -> bool:
                return (await stores.reload(run)).phase is Phase.COMPLETED

            await wait_until(is_completed)
            assert run.trace is not None
        del run, is_completed
        await wait_until(lambda: not existing())


@pytest.mark.usefixtures("no_collections")
@pytest.mark.parametrize("graph_id", ["steps", "wide", "calls_at_once"])
def test_an_execution_leaves_nothing(graph_id: str, settings: Settings, graphs: Registry) -> None:
    uvloop.run(execute(settings, graphs, graph_id))
