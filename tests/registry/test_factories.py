"""Factories: the supported kinds, the parameters they receive, and failures."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.store.memory import InMemoryStore

from slipway.errors import GraphUnavailable
from slipway.graphs.interface import AccessContext, with_checkpointer
from slipway.graphs.registry import Registry
from tests.registry.conftest import SIMPLE, Project

HEAD = (
    """
import asyncio, contextlib, contextvars, functools, threading
from dataclasses import dataclass
from typing import Optional
from langchain_core.runnables import RunnableConfig
from langgraph_sdk.runtime import ServerRuntime

CALLS = []
"""
    + SIMPLE
)

KINDS = {
    "sync": "def make():\n    return graph\n",
    "sync_builder": "def make():\n    return builder\n",
    "async": "async def make():\n    await asyncio.sleep(0)\n    return graph\n",
    "async_builder": "async def make():\n    return builder\n",
    "function_with_awaitable": "async def inner():\n    return graph\ndef make():\n    return inner()\n",
    "context_manager": "@contextlib.contextmanager\ndef make():\n    yield graph\n",
    "async_context_manager": "@contextlib.asynccontextmanager\nasync def make():\n    yield builder\n",
    "generator": "def make():\n    yield graph\n",
    "async_generator": "async def make():\n    yield graph\n",
    "partial": "def with_graph(g):\n    return g\nmake = functools.partial(with_graph, graph)\n",
    "callable_object": "class Factory:\n    def __call__(self, config):\n        return graph\nmake = Factory()\n",
    "default_arguments": "def make(size: int = 3, *args, **kwargs):\n    return graph\n",
}


async def load(project: Project, text: str, **sections: Any) -> Registry:
    project.write("factory_project.py", HEAD + text)
    registry = await project.load({"built": "./factory_project.py:make"}, **sections)
    assert registry.failures() == {}
    return registry


def calls() -> list[Any]:
    """What the factory appended to `CALLS` of its module."""
    appended: list[Any] = sys.modules["factory_project"].CALLS
    return appended


@pytest.mark.parametrize("kind", KINDS)
async def test_each_kind_of_factory_returns_a_graph(project: Project, kind: str) -> None:
    registry = await load(project, KINDS[kind])
    for _ in range(2):
        async with registry.open("built", {}, "threads.create_run") as graph:
            assert await graph.ainvoke({"text": "a"}) == {"text": "A"}


@pytest.mark.parametrize(
    "parameters",
    [
        "config: RunnableConfig",
        "config",
        "settings: RunnableConfig",
        "settings: Optional[RunnableConfig]",
        "settings: 'RunnableConfig'",
        "settings",
        "settings: dict",
        "config, /",
        "*, config",
        "other: int = 1, config: RunnableConfig = None",
    ],
)
async def test_the_parameter_for_the_config_is_recognised(project: Project, parameters: str) -> None:
    name = next(word for word in ("settings", "config") if word in parameters)
    registry = await load(project, f"def make({parameters}):\n    CALLS.append({name})\n    return graph\n")
    config: RunnableConfig = {"configurable": {"tone": "kind"}}
    async with registry.open("built", config, "threads.read"):
        assert calls() == [config]


@pytest.mark.parametrize("access", ["threads.create_run", "threads.update", "threads.read", "assistants.read"])
@pytest.mark.parametrize(
    "parameters", ["runtime: ServerRuntime", "runtime", "config, runtime", "rt: ServerRuntime, cf: RunnableConfig"]
)
async def test_the_parameter_for_the_runtime_is_recognised(
    project: Project, access: AccessContext, parameters: str
) -> None:
    name = "rt" if "rt:" in parameters else "runtime"
    registry = await load(project, f"async def make({parameters}):\n    CALLS.append({name})\n    return graph\n")
    async with registry.open("built", {}, access, {"a": 1}):
        (runtime,) = calls()
    assert runtime.access_context == access
    executing = runtime.execution_runtime
    assert (executing.context if executing else "reading") == ({"a": 1} if access.endswith("run") else "reading")


async def test_the_runtime_has_the_declared_context_and_the_store(project: Project) -> None:
    text = (
        "@dataclass\nclass Ctx:\n    tone: str = 'plain'\n"
        "def make(runtime: ServerRuntime[Ctx]):\n    CALLS.append(runtime)\n    return graph\n"
    )
    project.write("factory_project.py", HEAD + text)
    store = InMemoryStore()
    registry = await Registry.load(project.config({"built": "./factory_project.py:make"}), store)
    async with registry.open("built", {}, "threads.create_run"):
        assert calls()[0].context.tone == "plain"
        assert calls()[0].store is store
    async with registry.open("built", {}, "threads.create_run", {"tone": "dry", "unknown": 1}):
        assert calls()[1].context.tone == "dry"


async def test_a_sync_factory_runs_in_another_thread(project: Project) -> None:
    registry = await load(project, "def make():\n    CALLS.append(threading.get_ident())\n    return graph\n")
    async with registry.open("built", {}, "threads.read"):
        assert calls() != [threading.get_ident()]


@pytest.mark.parametrize(("decorator", "prefix"), [("contextmanager", ""), ("asynccontextmanager", "async ")])
async def test_a_context_manager_is_exited_after_the_body(project: Project, decorator: str, prefix: str) -> None:
    text = f"""
VAR = contextvars.ContextVar("VAR", default=0)
@contextlib.{decorator}
{prefix}def make():
    token = VAR.set(1)
    try:
        yield graph
    except KeyError as error:
        CALLS.append(error)     # and swallows it
    finally:
        VAR.reset(token)
        CALLS.append("exited")
"""
    registry = await load(project, text)
    async with registry.open("built", {}, "threads.create_run"):
        assert calls() == []
    assert calls() == ["exited"]
    with pytest.raises(KeyError):
        async with registry.open("built", {}, "threads.create_run"):
            raise KeyError("from the body")
    assert [type(entry) for entry in calls()] == [str, KeyError, str]


async def test_a_cleanup_that_fails_does_not_hide_the_outcome(project: Project) -> None:
    text = "def make():\n    try:\n        yield graph\n    finally:\n        raise OSError('cleanup')\n"
    registry = await load(project, text)
    async with registry.open("built", {}, "threads.create_run"):
        pass
    with pytest.raises(KeyError):
        async with registry.open("built", {}, "threads.create_run"):
            raise KeyError("from the body")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def make():\n    raise ValueError('no such tone')\n", "ValueError; the server's log"),
        ("async def make():\n    raise ValueError('no such tone')\n", "ValueError; the server's log"),
        ("def make():\n    return 3\n", "returned an object of type int"),
        ("def make():\n    from langgraph.graph import StateGraph\n    return StateGraph(State)\n", "ValueError"),
    ],
)
async def test_a_factory_that_fails_makes_its_graph_unavailable(project: Project, text: str, message: str) -> None:
    registry = await load(project, text)
    with pytest.raises(GraphUnavailable, match=r"factory of graph 'built'") as caught:
        async with registry.open("built", {}, "threads.create_run"):
            pytest.fail("entered")
    assert message in str(caught.value)
    with pytest.raises(GraphUnavailable):
        await registry.manifest("built")


async def test_a_context_manager_without_a_graph_is_exited(project: Project) -> None:
    text = "def make():\n    try:\n        yield 3\n    finally:\n        CALLS.append('exited')\n"
    registry = await load(project, text)
    with pytest.raises(GraphUnavailable):
        async with registry.open("built", {}, "threads.create_run"):
            pytest.fail("entered")
    assert calls() == ["exited"]


async def test_a_manifest_without_a_config_is_cached(project: Project) -> None:
    text = "def make(config):\n    CALLS.append(config)\n    return builder.compile(name=config.get('run_name', 'it'))"
    registry = await load(project, text)
    assert [(await registry.manifest("built")).name for _ in range(2)] == ["it", "it"]
    assert (await registry.manifest("built", {"run_name": "other"})).name == "other"
    assert calls() == [{"configurable": {}}, {"configurable": {}, "run_name": "other"}]


async def test_a_factory_receives_a_config_with_configurable(project: Project) -> None:
    text = "def make(config):\n    return builder.compile(name=config['configurable'].get('tone', 'none'))"
    registry = await load(project, text)
    assert (await registry.manifest("built")).name == "none"
    async with registry.open("built", {}, "threads.create_run") as graph:
        assert graph.name == "none"


async def test_a_graph_without_a_factory_is_opened_as_the_same_object(project: Project) -> None:
    project.write("one.py")
    registry = await project.load({"one": "./one.py:builder"})
    async with registry.open("one", {}, "threads.read") as first, registry.open("one", {}, "threads.update") as second:
        assert first is second


FUNCTIONAL = """
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint, task

@task
async def double(number: int) -> int:
    return number * 2

@entrypoint(checkpointer=InMemorySaver())
async def graph(number: int, *, previous: int | None = None) -> int:
    return await double(number) + (previous or 0)
"""


async def test_with_checkpointer_returns_a_copy_with_checkpointer_and_store(project: Project) -> None:
    project.write("flow.py", FUNCTIONAL)
    project.write("state.py", SIMPLE)
    registry = await project.load({"flow": "./flow.py:graph", "state": "./state.py:graph"})
    config: RunnableConfig = {"configurable": {"thread_id": "1"}}
    inputs: dict[str, Any] = {"flow": 1, "state": {"text": "a"}}
    for graph_id, value in inputs.items():
        checkpointer, store = InMemorySaver(), InMemoryStore()
        async with registry.open(graph_id, {}, "threads.create_run") as graph:
            original = graph.checkpointer
            copy = with_checkpointer(graph, checkpointer, store)
            await copy.ainvoke(value, config)
            assert [entry async for entry in checkpointer.alist(config)]
            assert graph.checkpointer is original
            assert type(copy) is type(graph)
            assert (copy.store, graph.store) == (store, None)
            assert with_checkpointer(copy, checkpointer).store is store


async def test_with_checkpointer_keeps_all_attributes_of_the_graph(project: Project) -> None:
    text = SIMPLE.replace("from typing import TypedDict", "from pydantic import BaseModel")
    project.write("model.py", text.replace("TypedDict", "BaseModel").replace('state["text"]', "state.text"))
    registry = await project.load({"model": "./model.py:graph"})
    async with registry.open("model", {}, "threads.create_run") as graph:
        copy = with_checkpointer(graph, InMemorySaver())
    assert vars(copy).keys() == vars(graph).keys()
    assert vars(copy)["_output_mapper"] is not None
