"""The state of a thread is read and written with the version to which the thread is pinned."""

from __future__ import annotations

from pathlib import Path

import pytest
from langgraph_sdk.client import LangGraphClient

from slipway.errors import GraphUnavailable
from slipway.graphs.registry import Registry
from slipway.threads.graph_opener import ThreadGraphOpener
from tests.http.conftest import Served, client, sdk, served, worker
from tests.project_fixtures import graphs_of, settings_of

__all__ = ["client", "sdk", "served", "worker"]

PROJECT = Path(__file__).parent / "project"

graphs = graphs_of(PROJECT / "langgraph.json")
settings = settings_of(PROJECT / "langgraph.json")

pytestmark = pytest.mark.usefixtures("worker")


async def thread_of_version(sdk: LangGraphClient, version: str) -> str:
    thread_id = str((await sdk.threads.create())["thread_id"])
    await sdk.runs.wait(thread_id, "desk", input={"text": ""}, headers={"x-slipway-version": version})
    return thread_id


async def test_the_state_of_a_thread_has_the_channels_of_its_version(sdk: LangGraphClient) -> None:
    first, second = await thread_of_version(sdk, "1"), await thread_of_version(sdk, "2")
    for thread_id in (first, second):
        await sdk.threads.update_state(thread_id, {"text": "changed", "notes": "kept"})
    assert (await sdk.threads.get_state(first))["values"] == {"text": "changed", "notes": "kept"}
    assert (await sdk.threads.get_state(second))["values"] == {"text": "changed"}


async def test_the_state_of_a_version_that_is_not_served_is_read_and_not_written(
    sdk: LangGraphClient, served: Served
) -> None:
    """A graph without the channel would drop its value."""
    thread = await served.services.threads.get(await thread_of_version(sdk, "1"))
    checkpointer = served.services.checkpointer
    opener = ThreadGraphOpener(
        await Registry.load(PROJECT / "second_only.json"), served.services.runs, checkpointer, served.services.store
    )
    async with opener.for_reading(thread, None) as graph:
        state = await graph.aget_state({"configurable": {"thread_id": thread.thread_id}})
    assert state.values == {"text": "hello"}
    with pytest.raises(GraphUnavailable, match="is pinned to desk@1, and this process serves 2: add version 1 to"):
        async with opener.for_writing(thread, {}, checkpointer):
            pass


async def test_the_state_of_a_version_without_a_name_is_that_of_the_version_with_equal_code(
    sdk: LangGraphClient, served: Served, graphs: Registry
) -> None:
    """So it is when a project names its versions for the first time."""
    thread_id = await thread_of_version(sdk, "1")
    await sdk.threads.update_state(thread_id, {"notes": "kept"})
    schema = graphs.version("desk", "1").schema
    await served.services.pipeline.send(
        "HSET", served.services.keys.thread(thread_id), "version", f"v41.{schema[:8]}", "schema", schema
    )
    assert (await sdk.threads.get_state(thread_id))["values"] == {"text": "hello", "notes": "kept"}
    await sdk.threads.update_state(thread_id, {"notes": "changed"})
    assert (await sdk.threads.get_state(thread_id))["values"] == {"text": "hello", "notes": "changed"}
